#include "cli/yaml.h"

#include "fuzz/input_files.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {

extern const Target yaml_target;
const Target yaml_target{[](std::string_view input) {
  const auto path = folder().write("options.yaml", input);
  answers([&] { (void)read_yaml(path).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); });
}};

}  // namespace lowrank::fuzz
