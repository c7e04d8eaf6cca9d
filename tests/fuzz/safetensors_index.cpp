#include "formats/safetensors_index.h"

#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

const std::vector<std::string> index_names = {
    "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};

std::string mutate_index(std::string_view input, Mutation& mutation) {
  std::vector<std::string> files = unpack(input, index_names.size());
  const size_t chosen = mutation.below(files.size());
  if (mutation.once_in(8)) {
    files[chosen] = mutation.changed(files[chosen]);
  } else {
    files[chosen] =
        chosen == 0 ? changed_json(files[0], mutation) : changed_safetensors(files[chosen], mutation);
  }
  return pack(files);
}

}  // namespace

extern const Target safetensors_index_target;
const Target safetensors_index_target{
    [](std::string_view input) {
      write_files("sharded", index_names, unpack(input, index_names.size()));
      answers([&] { touch(SafetensorsIndex::open(folder("sharded")).tensors()); });
    },
    mutate_index};

}  // namespace lowrank::fuzz
