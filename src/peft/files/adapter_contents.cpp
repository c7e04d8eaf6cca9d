#include "peft/files/adapter_contents.h"

#include <algorithm>
#include <optional>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "peft/files/adapterhub_file.h"
#include "peft/files/gguf_lora.h"
#include "peft/files/mlx_adapter.h"
#include "peft/low_rank/low_rank_config.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 16 << 20;

/// Stores patterns as lists of pairs: their order in the file matters, and an object would lose it.
void keep_order_of_patterns(nlohmann::json& config, const std::filesystem::path& path) {
  constexpr int64_t most_keys = 20'000;  // they are searched linearly
  if (!config.is_object()) return;
  std::optional<nlohmann::ordered_json> in_order;
  for (const char* name : {"rank_pattern", "alpha_pattern"}) {
    const auto patterns = config.find(name);
    const bool numbers = patterns != config.end() && patterns->is_object() &&
                         std::ranges::all_of(*patterns, &nlohmann::json::is_number);
    if (!numbers || patterns->size() < 2) continue;
    if (!in_order) {
      const MmapFile file = MmapFile::open(path);
      in_order = parse_ordered_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                                    path.string(), {.keys = most_keys});
    }
    nlohmann::json pairs = nlohmann::json::array();
    for (const auto& [pattern, value] : in_order->at(name).items())
      pairs.push_back(nlohmann::json::array({pattern, value.get<double>()}));
    *patterns = std::move(pairs);
  }
}

AdapterContents read_peft_folder(const std::filesystem::path& folder) {
  const std::filesystem::path config = folder / "adapter_config.json";
  const std::filesystem::path tensors = folder / "adapter_model.safetensors";
  if (!std::filesystem::exists(tensors) && std::filesystem::exists(folder / "adapter_model.bin")) {
    throw Error(ErrorKind::unsupported,
                (folder / "adapter_model.bin").string() + ": pickled adapters are never read",
                "load it with PEFT and save it with safe_serialization=True");
  }
  AdapterContents contents;
  contents.config_name = config.string();
  contents.tensors_name = tensors.string();
  contents.config = read_json_file(config, max_config_bytes);
  keep_order_of_patterns(contents.config, config);
  contents.add(tensors);
  return contents;
}

void add(AdapterContents& contents, const std::string& name, const at::Tensor& values) {
  const at::Tensor& kept = contents.values.emplace_back(values.contiguous());
  const std::span<const float> data(kept.const_data_ptr<float>(), static_cast<size_t>(kept.numel()));
  contents.tensors[name] = {name, DType::f32, kept.sizes().vec(), std::as_bytes(data)};
}

}  // namespace

const StoredTensor* AdapterContents::find(std::string_view name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

void AdapterContents::add(const std::filesystem::path& path,
                          const std::function<std::string(const std::string&)>& rename) {
  files.push_back(std::make_shared<const SafetensorsFile>(SafetensorsFile::open(path)));
  for (const StoredTensor& tensor : files.back()->tensors())
    tensors[rename ? rename(tensor.name) : tensor.name] = tensor;
}

AdapterContents read_adapter(const std::filesystem::path& path, const ModelSpec& spec) {
  if (std::filesystem::is_regular_file(path)) {
    check(path.extension() == ".gguf", ErrorKind::unsupported,
          "{}: an adapter is a folder or a GGUF LoRA (.gguf)", path.string());
    return read_gguf_lora(path, spec);
  }
  check(std::filesystem::is_directory(path), ErrorKind::not_found, "{}: no such adapter folder or file",
        path.string());
  const bool mlx = std::filesystem::exists(path / mlx_tensors_name) &&
                   !std::filesystem::exists(path / "adapter_model.safetensors");
  if (mlx) return read_mlx_adapter(path, spec);
  return is_adapterhub_folder(path) ? read_adapterhub_folder(path, spec) : read_peft_folder(path);
}

AdapterContents contents_of(const std::vector<LowRankUpdate>& updates, const ModelSpec& spec, bool tied,
                            double dropout) {
  AdapterContents contents;
  LowRankOptions options = low_rank_options(updates);
  options.dropout = dropout;
  options.ensure_weight_tying = tied && spec.tied_head;
  std::vector<const Module*> modules;
  for (const LowRankUpdate& update : updates) {
    modules.push_back(update.module);
    add(contents, factor_key(*update.module, "A"), update.a);
    add(contents, factor_key(*update.module, "B"), update.b);
    if (!options.ensure_weight_tying || update.module->role != Role::embedding) continue;
    const Module& head = *std::ranges::find(spec.modules, Role::head, &Module::role);
    add(contents, factor_key(head, "A"), update.b.t());
    add(contents, factor_key(head, "B"), update.a.t());
  }
  contents.config = write_low_rank_config(options, modules);
  return contents;
}

void check_fits(const std::vector<std::string>& problems, const std::string& where, std::string_view what,
                const std::string& hint) {
  constexpr size_t shown = 4;
  if (problems.empty()) return;
  const std::span<const std::string> first(problems.data(), std::min(problems.size(), shown));
  const size_t more = problems.size() - first.size();
  throw Error(ErrorKind::invalid,
              fmt::format("{}: the tensors do not fit {}: {}{}", where, what, fmt::join(first, "; "),
                          more ? fmt::format("; and {} more", more) : ""),
              hint);
}

}  // namespace lowrank
