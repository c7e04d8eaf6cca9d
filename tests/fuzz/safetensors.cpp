#include "formats/safetensors.h"

#include "formats/block_formats.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

std::string mutate_safetensors(std::string_view input, Mutation& mutation) {
  return mutation.once_in(3) ? mutation.changed(std::string(input))
                             : changed_safetensors(std::string(input), mutation);
}

}  // namespace

extern const Target safetensors_target;
const Target safetensors_target{[](std::string_view input) {
                                  const auto path = folder().write("model.safetensors", input);
                                  answers([&] {
                                    const SafetensorsFile file = SafetensorsFile::open(path);
                                    touch(file.tensors());
                                    expand_all(file.tensors());
                                  });
                                },
                                mutate_safetensors};

}  // namespace lowrank::fuzz
