#include "formats/gguf.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_gguf.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

const std::vector<std::string> part_names = {"model-00001-of-00003.gguf", "model-00002-of-00003.gguf",
                                             "model-00003-of-00003.gguf"};

}  // namespace

extern const Target gguf_split_target;
const Target gguf_split_target{
    [](std::string_view input) {
      write_files("split", part_names, unpack(input, part_names.size()));
      answers([&] {
        touch(GgufFile::open(folder("split") / part_names[input.size() % part_names.size()]).tensors());
      });
    },
    [](std::string_view input, Mutation& mutation) {
      std::vector<std::string> parts = unpack(input, part_names.size());
      std::string& part = parts[mutation.below(parts.size())];
      part = changed_gguf(part, mutation);
      return pack(parts);
    }};

}  // namespace lowrank::fuzz
