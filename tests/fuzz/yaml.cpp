#include "cli/yaml.h"

#include "base/json.h"
#include "fuzz/input_files.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {

extern const Target yaml_target;
const Target yaml_target{[](std::string_view input) {
  const auto path = folder().write("options.yaml", input);
  answers([&] { (void)json_text(read_yaml(path)); });
}};

}  // namespace lowrank::fuzz
