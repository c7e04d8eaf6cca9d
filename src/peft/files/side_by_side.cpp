#include "peft/files/side_by_side.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_reader.h"
#include "peft/files/combined_methods.h"

namespace lowrank {
namespace {

constexpr const char* order_name = "adapters.json";
constexpr int64_t most_order_bytes = 1 << 20;

}  // namespace

ChosenMethod choose_method(std::string_view name) {
  if (name.find('+') == std::string_view::npos) {
    const MethodInfo& info = method_named(name);
    return {&info, info.make()};
  }
  std::vector<Adapter> parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('+', begin), name.size());
    const MethodInfo& info = method_named(name.substr(begin, end - begin));
    parts.push_back({&info, info.make(), {}, nullptr, {}});
    begin = end + 1;
  }
  CombinedMethods combined = combine_methods(std::move(parts));
  return {combined.info, std::move(combined.method)};
}

ChosenMethod method_of_adapter(const std::filesystem::path& path, const ModelSpec& spec) {
  if (!is_side_by_side(path)) {
    StoredAdapter stored = open_adapter(path, spec);
    return {stored.info, std::move(stored.method)};
  }
  std::vector<Adapter> parts;
  for (const std::string& name : names_side_by_side(path)) {
    StoredAdapter stored = open_adapter(path / name, spec);
    parts.push_back({stored.info, std::move(stored.method), {}, nullptr, {}});
  }
  CombinedMethods combined = combine_methods(std::move(parts));
  return {combined.info, std::move(combined.method)};
}

std::vector<std::string> names_side_by_side(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / order_name;
  const nlohmann::json order = read_json_file(path, most_order_bytes);
  const bool holds = order.is_object() && order.contains("methods") && order["methods"].is_array() &&
                     !order["methods"].empty() &&
                     std::ranges::all_of(order["methods"], [](const nlohmann::json& name) {
                       return name.is_string() && method_named(name.get<std::string>()).name == name;
                     });
  check(holds, ErrorKind::corrupt, "{}: no list of methods", path.string());
  return order["methods"].get<std::vector<std::string>>();
}

bool is_side_by_side(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / order_name);
}

std::filesystem::path first_adapter(const std::filesystem::path& folder) {
  return is_side_by_side(folder) ? folder / names_side_by_side(folder).front() : folder;
}

void write_side_by_side(const std::filesystem::path& folder, const Adapter& adapter,
                        const std::string& base) {
  for (const Adapter& part : *adapter.method->form().parts())
    write_adapter(folder / std::string(part.info->name), part, base);
  write_file_atomically(folder / order_name, json_text(adapter.method->form().config(), 2) + "\n");
}

Adapter load_side_by_side(const std::filesystem::path& folder, const Checkpoint& base, at::ScalarType type) {
  std::vector<StoredAdapter> stored;
  std::vector<Adapter> parts;
  for (const std::string& name : names_side_by_side(folder)) {
    StoredAdapter& next = stored.emplace_back(open_adapter(folder / name, base.spec()));
    parts.push_back({next.info, std::move(next.method), {}, nullptr, {}});
  }
  CombinedMethods combined = combine_methods(std::move(parts));
  std::vector<Adapter>& planned = *combined.parts;
  Adapter adapter = plan_adapter(*combined.info, std::move(combined.method), base.spec());
  for (size_t i = 0; i < stored.size(); ++i) {
    const std::vector<std::string> notes = check_tensors(stored[i], planned[i].plan, base.spec());
    adapter.notes.insert(adapter.notes.end(), notes.begin(), notes.end());
  }
  give_parameters(adapter, base, type);
  for (size_t i = 0; i < stored.size(); ++i) read_values(stored[i], planned[i], base);
  return adapter;
}

}  // namespace lowrank
