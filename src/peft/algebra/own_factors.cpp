#include <cmath>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/gguf.h"
#include "peft/algebra/stored_pairs.h"
#include "peft/files/mlx_adapter.h"

namespace lowrank {
namespace {

StoredPairs own_pairs(std::span<const StoredTensor> tensors, FactoredAdapter& adapter) {
  StoredPairs pairs;
  for (const StoredTensor& tensor : tensors) {
    std::string_view stem = tensor.name;
    const bool is_a = take_end(stem, ".lora_a");
    if (!is_a && !take_end(stem, ".lora_b")) {
      adapter.beside.push_back(one_line(tensor.name));
      continue;
    }
    StoredPair& pair = pairs[std::string(stem)];
    (is_a ? pair.a : pair.b) = &tensor;
  }
  return pairs;
}

FactoredAdapter read_gguf_factors(const std::filesystem::path& path) {
  const GgufFile file = GgufFile::open(path);
  check(file.find<std::string>("general.type").value_or("model") == "adapter" &&
            file.find<std::string>("adapter.type").value_or("") == "lora",
        ErrorKind::unsupported, "{}: not a GGUF LoRA", path.string());
  const double alpha = file.find<double>("adapter.lora.alpha").value_or(0);
  check(std::isfinite(alpha) && alpha >= 0, ErrorKind::invalid, "{}: adapter.lora.alpha is {}", path.string(),
        alpha);
  FactoredAdapter adapter{path.string(), nlohmann::json::object(), 0, {}, {}, {}};
  add_updates(adapter, own_pairs(file.tensors(), adapter), [&](FactoredUpdate& update) {
    update.embedding = update.module.starts_with("token_embd");
    if (update.embedding) update.a = update.a.t();
    update.scale = alpha > 0 ? alpha / static_cast<double>(update.rank()) : 1;
    return std::optional<std::string>();
  });
  return adapter;
}

FactoredAdapter read_mlx_factors(const std::filesystem::path& folder) {
  constexpr int64_t max_config_bytes = 16 << 20;
  const std::string where = (folder / "adapter_config.json").string();
  const nlohmann::json config = read_json_file(where, max_config_bytes);
  const nlohmann::json parameters =
      config.is_object() ? config.value("lora_parameters", nlohmann::json()) : nullptr;
  check(parameters.is_object() && parameters.contains("scale") && parameters["scale"].is_number(),
        ErrorKind::invalid, "{}: no lora_parameters.scale", where);
  check(config.value("fine_tune_type", nlohmann::json("lora")) == "lora", ErrorKind::unsupported,
        "{}: fine_tune_type is not lora", where);
  const SafetensorsFile file = SafetensorsFile::open(folder / mlx_tensors_name);
  FactoredAdapter adapter{file.path().string(), nlohmann::json::object(), 0, {}, {}, {}};
  add_updates(adapter, own_pairs(file.tensors(), adapter), [&](FactoredUpdate& update) {
    update.a = update.a.t();
    update.b = update.b.t();
    update.scale = parameters["scale"].get<double>();
    return std::optional<std::string>();
  });
  return adapter;
}

}  // namespace

FactoredAdapter read_own_factors(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? read_mlx_factors(path) : read_gguf_factors(path);
}

}  // namespace lowrank
