#include "session/adapters/adapter_list.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "formats/gguf.h"
#include "peft/algebra/factored_adapter.h"
#include "peft/core/target_modules.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/adapter_labels.h"
#include "peft/files/adapter_reader.h"
#include "peft/files/mlx_adapter.h"
#include "peft/files/side_by_side.h"
#include "report/table.h"
#include "session/adapters/adapter_places.h"
#include "session/adapters/update_norm.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

void add_target(ListedAdapter& listed, const std::string& module) {
  std::string part = module.substr(module.rfind('.') + 1);
  // In GGUF files the last part of a weight's name is "weight".
  if (part == "weight")
    part = module.substr(0, module.rfind('.')).substr(module.rfind('.', module.rfind('.') - 1) + 1);
  if (std::ranges::find(listed.targets, part) == listed.targets.end()) listed.targets.push_back(part);
}

void describe(ListedAdapter& listed, const FactoredAdapter& adapter) {
  double squares = 0;
  listed.lowest_rank = listed.highest_rank = adapter.updates.front().rank();
  for (const FactoredUpdate& update : adapter.updates) {
    throw_if_interrupted();
    listed.lowest_rank = std::min(listed.lowest_rank, update.rank());
    listed.highest_rank = std::max(listed.highest_rank, update.rank());
    add_target(listed, update.module);
    squares += inner_product(update, update);
  }
  listed.norm = std::sqrt(std::max(squares, 0.0));
}

/// A GGUF LoRA or an mlx-lm folder, whose files need no base to be understood.
void describe_own(ListedAdapter& listed, const fs::path& path) {
  const FactoredAdapter adapter = read_own_factors(path);
  describe(listed, adapter);
  listed.method = "lora";
  for (const FactoredUpdate& update : adapter.updates)
    listed.parameters += update.a.numel() + update.b.numel();
  const fs::path tensors = fs::is_directory(path) ? path / mlx_tensors_name : path;
  listed.bytes = static_cast<int64_t>(fs::file_size(tensors));
  if (!fs::is_directory(path)) {
    const GgufFile file = GgufFile::open(path);
    listed.base = file.find<std::string>("general.base_model.0.name").value_or("");
    if (listed.base.empty())
      listed.architecture = file.find<std::string>("general.architecture").value_or("");
  }
}

std::string base_in(const nlohmann::json& config) {
  for (const char* key : {"base_model_name_or_path", "model_name", "model"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_string()) return found->get<std::string>();
  }
  return "";
}

/// What names the targets of a method without factors: the option, or nothing.
void add_option_targets(ListedAdapter& listed, Method& method) {
  for (const Field& field : method.fields()) {
    const nlohmann::json value = field.get();
    if (field.name == "target_modules" && value.is_string()) {
      std::vector<std::string> names;
      std::string expression;
      read_targets(value.get<std::string>(), names, expression);
      if (!expression.empty()) names = {expression};
      for (std::string& name : names) listed.targets.push_back(std::move(name));
    }
    if (field.name == "rank" && value.is_number_integer())
      listed.lowest_rank = listed.highest_rank = value.get<int64_t>();
  }
}

void describe_folder(ListedAdapter& listed, const fs::path& folder, const Checkpoint* base) {
  StoredAdapter stored = open_adapter(folder, base ? base->spec() : ModelSpec());
  listed.method += (listed.method.empty() ? "" : "+") + std::string(stored.info->name);
  if (listed.base.empty()) listed.base = base_in(stored.contents.config);
  for (const auto& file : stored.contents.files)
    listed.bytes += static_cast<int64_t>(fs::file_size(file->path()));
  for (const auto& [name, tensor] : stored.contents.tensors)
    listed.parameters += element_count(tensor.shape).value_or(0);
  if (has_plain_factors(stored.contents.config)) {
    describe(listed, factors_of(stored.contents));
  } else {
    add_option_targets(listed, *stored.method);
  }
}

void describe_place(ListedAdapter& listed, const Checkpoint* base) {
  const fs::path path = adapter_place(listed.path);
  const bool mlx = fs::exists(path / mlx_tensors_name) && !fs::exists(path / "adapter_model.safetensors");
  if (!fs::is_directory(path) || mlx) {
    describe_own(listed, path);
  } else if (is_side_by_side(path)) {
    for (const std::string& name : names_side_by_side(path)) describe_folder(listed, path / name, base);
    listed.norm.reset();
  } else {
    describe_folder(listed, path, base);
  }
}

/// Takes the norm from the base's values where the files alone do not tell it.
void take_norm(ListedAdapter& listed, const Checkpoint& base) try {
  if (!listed.norm) listed.norm = norm_of_update(load_adapter(listed.path, base), base);
} catch (const Error& error) {
  if (error.kind() == ErrorKind::interrupted) throw;
  listed.note = error.what();
}

ListedAdapter listed_at(const fs::path& path, const Checkpoint* base) {
  ListedAdapter listed;
  listed.path = path.string();
  listed.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  try {
    describe_place(listed, base);
    if (base) take_norm(listed, *base);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    listed.problem = error.what();
  } catch (const std::exception& error) {
    listed.problem = error.what();
  }
  return listed;
}

std::string rank_words(const ListedAdapter& adapter) {
  if (adapter.highest_rank == 0) return "-";
  if (adapter.lowest_rank == adapter.highest_rank) return std::to_string(adapter.highest_rank);
  return fmt::format("{}-{}", adapter.lowest_rank, adapter.highest_rank);
}

/// The base's name, else its architecture in parentheses.
std::string base_words(const ListedAdapter& adapter) {
  if (!adapter.base.empty()) return one_line(adapter.base, 60);
  return adapter.architecture.empty() ? "-" : fmt::format("({})", one_line(adapter.architecture, 60));
}

}  // namespace

std::vector<ListedAdapter> list_adapters(const std::vector<std::string>& places, const std::string& model) {
  const std::shared_ptr<const Checkpoint> base = model.empty() ? nullptr : Checkpoint::open(model);
  std::vector<ListedAdapter> adapters;
  for (const std::string& place : places) {
    for (const fs::path& path : adapters_at(place)) {
      throw_if_interrupted();
      adapters.push_back(listed_at(path, base.get()));
    }
  }
  return adapters;
}

nlohmann::ordered_json json_of(const std::vector<ListedAdapter>& adapters) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ListedAdapter& adapter : adapters) {
    nlohmann::ordered_json entry = {{"path", adapter.path}, {"name", adapter.name}};
    if (adapter.problem.empty()) {
      entry["method"] = adapter.method;
      entry["ranks"] = {adapter.lowest_rank, adapter.highest_rank};
      if (adapter.highest_rank == 0) entry["ranks"] = nullptr;
      entry["targets"] = adapter.targets;
      entry["base"] = adapter.base;
      if (!adapter.architecture.empty()) entry["architecture"] = adapter.architecture;
      entry["bytes"] = adapter.bytes;
      entry["parameters"] = adapter.parameters;
      entry["norm"] = adapter.norm ? nlohmann::ordered_json(*adapter.norm) : nullptr;
      if (!adapter.note.empty()) entry["note"] = adapter.note;
    } else {
      entry["problem"] = adapter.problem;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

std::string table_of(const std::vector<ListedAdapter>& adapters) {
  std::vector<std::vector<std::string>> rows;
  std::string below;
  for (const ListedAdapter& adapter : adapters) {
    if (!adapter.problem.empty()) {
      below +=
          fmt::format("\n{}: cannot be used: {}", one_line(adapter.name), one_line(adapter.problem, 600));
      continue;
    }
    if (!adapter.note.empty())
      below += fmt::format("\n{}: no norm: {}", one_line(adapter.name), one_line(adapter.note, 600));
    rows.push_back(
        {one_line(adapter.name), adapter.method, rank_words(adapter),
         adapter.targets.empty() ? "-" : one_line(fmt::format("{}", fmt::join(adapter.targets, ",")), 60),
         base_words(adapter), fmt::format("{:.3g}", static_cast<double>(adapter.bytes) / 1e6),
         std::to_string(adapter.parameters), adapter.norm ? fmt::format("{:.4g}", *adapter.norm) : "-"});
  }
  std::string table =
      rows.empty()
          ? ""
          : markdown_table({"name", "method", "rank", "targets", "base", "MB", "parameters", "norm"}, rows);
  return table + (below.empty() ? "" : below.substr(rows.empty() ? 1 : 0) + "\n");
}

}  // namespace lowrank
