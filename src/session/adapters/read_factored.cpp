#include "session/adapters/read_factored.h"

#include "base/error.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/adapterhub_file.h"
#include "peft/files/mlx_adapter.h"
#include "peft/files/side_by_side.h"
#include "session/places.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// True for a folder whose names and factors mean the same on any base.
bool is_peft_folder(const fs::path& path) {
  return fs::is_directory(path) && !is_side_by_side(path) && !is_adapterhub_folder(path) &&
         (!fs::exists(path / mlx_tensors_name) || fs::exists(path / "adapter_model.safetensors"));
}

}  // namespace

FactoredAdapter read_factored(const std::string& given, const Checkpoint* base) {
  check_adapter_place(given);
  const fs::path path = adapter_place(given);
  if (is_peft_folder(path)) {
    const AdapterContents contents = read_adapter(path, base ? base->spec() : ModelSpec());
    if (has_plain_factors(contents.config)) return factors_of(contents);
  }
  check(base != nullptr, ErrorKind::invalid,
        "{}: its updates can be read only with the base model that it belongs to; give `model`", given);
  return factors_of(load_adapter(path, *base), given);
}

NamedPath named_path(const std::string& given) {
  const size_t equals = given.find('=');
  if (equals != std::string::npos && equals > 0 && !fs::exists(given))
    return {given.substr(0, equals), given.substr(equals + 1)};
  const fs::path path = fs::path(given).has_filename() ? fs::path(given) : fs::path(given).parent_path();
  return {path.filename().string(), given};
}

}  // namespace lowrank
