#include "peft/files/method_record.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

constexpr int64_t most_bytes = 1 << 20;

/// The options that `method` has in addition to those of the method that reads its files.
std::vector<Field> own_fields(Method& method, const MethodInfo& reader) {
  const std::unique_ptr<Method> plain = reader.make();
  const std::vector<Field> known = plain->fields();
  std::vector<Field> own = method.fields();
  std::erase_if(own, [&](const Field& field) { return find_field(known, field.name) != nullptr; });
  return own;
}

}  // namespace

void write_method_record(const std::filesystem::path& folder, const Adapter& adapter) {
  if (adapter.info->reads) return;
  const MethodInfo& reader = method_of_config(adapter.method->form().config(), "the adapter's configuration");
  const nlohmann::json record = {{"method", adapter.info->name},
                                 {"options", resolved(own_fields(*adapter.method, reader))}};
  write_file_atomically(folder / method_record_name, record.dump(2) + "\n");
}

const MethodInfo& recorded_method(const std::filesystem::path& folder, const MethodInfo& info,
                                  std::unique_ptr<Method>& method) {
  const std::filesystem::path path = folder / method_record_name;
  if (!std::filesystem::is_regular_file(path)) {
    method = info.make();
    return info;
  }
  const nlohmann::json record = read_json_file(path, most_bytes);
  const bool whole = record.is_object() && record.contains("method") && record["method"].is_string() &&
                     record.contains("options") && record["options"].is_object();
  check(whole, ErrorKind::corrupt,
        "{}: no method and its options; without this file the adapter is read as {}", path.string(),
        info.name);
  const MethodInfo& recorded = method_named(record["method"].get<std::string>());
  check(!recorded.reads, ErrorKind::invalid, "{}: {} has files of its own, and this is none; it is one of {}",
        path.string(), recorded.name, info.name);
  method = recorded.make();
  apply(own_fields(*method, info), record["options"], path.string());
  return recorded;
}

}  // namespace lowrank
