#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/small_run.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

const std::vector<std::string> model_names = {"config.json", "model.safetensors"};

std::string mutate_model(std::string_view input, Mutation& mutation) {
  std::vector<std::string> files = unpack(input, model_names.size());
  if (files[0].empty()) return mutation.changed(std::string(input));
  const size_t which = mutation.below(4);
  if (which != 0) files[0] = changed_json(files[0], mutation);
  if (which < 2) files[1] = changed_safetensors(files[1], mutation);
  return pack(files);
}

}  // namespace

extern const Target folder_model_target;
const Target folder_model_target{
    [](std::string_view input) {
      const std::vector<std::string> files = unpack(input, model_names.size());
      if (holds_number_above(files[0], largest_number)) return;
      write_files("model", model_names, files);
      answers([&] { load_and_run(Checkpoint::open(folder("model")), input.size()); });
    },
    mutate_model};

}  // namespace lowrank::fuzz
