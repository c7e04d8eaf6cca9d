#include "peft/files/mlx_adapter.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/fields.h"
#include "base/json.h"
#include "peft/files/factor_pairs.h"

namespace lowrank {
namespace {

constexpr int64_t max_config_bytes = 16 << 20;

struct Options {
  int64_t rank = 8;
  double scale = 20, dropout = 0;
  std::vector<std::string> keys;  ///< empty: mlx-lm's default, which differs between its versions
  int64_t layers = 0;             ///< the number of last layers adapted; 0: all
};

Options read_options(const nlohmann::json& config, const std::string& where) {
  check(config.is_object(), ErrorKind::invalid, "{}: not an object", where);
  const nlohmann::json kind = config.value("fine_tune_type", nlohmann::json("lora"));
  check(kind == "lora", ErrorKind::unsupported, "{}: fine_tune_type {} of mlx-lm is not supported, only lora",
        where, kind.dump().substr(0, 40));
  check(config.contains("lora_parameters") && config["lora_parameters"].is_object(), ErrorKind::invalid,
        "{}: no lora_parameters", where);
  nlohmann::json parameters = config["lora_parameters"];
  for (const char* key : {"rank", "scale"})
    check(parameters.contains(key), ErrorKind::invalid, "{}: no lora_parameters.{}", where, key);
  if (parameters.contains("keys") && parameters["keys"].is_null()) parameters.erase("keys");
  Options options;
  double alpha = 0;
  const std::vector<Field> fields{limited(field("rank", options.rank, ""), 1, 1 << 20),
                                  limited(field("scale", options.scale, ""), 1e-6, 1 << 20),
                                  limited(field("dropout", options.dropout, ""), 0, 0.99),
                                  field("keys", options.keys, ""), field("alpha", alpha, "")};
  apply(fields, parameters, where + ": lora_parameters");
  if (parameters.contains("alpha") && alpha != static_cast<double>(options.rank)) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("{}: lora_parameters.alpha {} beside scale {}: mlx-lm before December 2024 multiplied "
                    "the scale with alpha / rank, later ones do not read alpha",
                    where, alpha, options.scale),
        "remove alpha, and set scale to the factor that was trained with");
  }
  const nlohmann::json layers = config.value("num_layers", nlohmann::json(0));
  check(layers.is_number_integer(), ErrorKind::invalid, "{}: num_layers is {}", where,
        layers.dump().substr(0, 40));
  options.layers = std::max<int64_t>(layers.get<int64_t>(), 0);
  return options;
}

/// True when mlx-lm adapts the module with these keys and this number of layers.
bool adapts(const Options& options, const ModelSpec& spec, const Module& module) {
  const auto named = [&](std::string_view name) {
    return options.keys.empty() || std::ranges::find(options.keys, name) != options.keys.end();
  };
  if (module.layer < 0) return !options.keys.empty() && named(module.name);
  const bool last = options.layers == 0 || module.layer >= spec.layers - options.layers;
  const std::string number = fmt::format(".{}.", module.layer);
  const std::string_view name = module.name;
  return named(name) || (last && named(name.substr(name.find(number) + number.size())));
}

/// Tensors that mlx-lm would ignore or miss, and ranks that differ.
std::vector<std::string> differences(const Options& options, const ModelSpec& spec,
                                     const std::vector<LowRankUpdate>& updates) {
  std::vector<std::string> problems;
  for (const Module& module : spec.modules) {
    const auto update = std::ranges::find(updates, &module, &LowRankUpdate::module);
    const bool there = update != updates.end();
    const bool wanted = adapts(options, spec, module);
    if (there && !wanted) problems.push_back(fmt::format("unexpected {}.lora_a", module.name));
    if (!there && wanted && !options.keys.empty())
      problems.push_back(fmt::format("missing {}.lora_a", module.name));
    if (there && update->rank != options.rank)
      problems.push_back(
          fmt::format("{} has rank {} where {} is expected", module.name, update->rank, options.rank));
  }
  return problems;
}

}  // namespace

AdapterContents read_mlx_adapter(const std::filesystem::path& folder, const ModelSpec& spec) {
  const std::string config_name = (folder / "adapter_config.json").string();
  const std::string tensors_name = (folder / mlx_tensors_name).string();
  const Options options = read_options(read_json_file(config_name, max_config_bytes), config_name);
  const SafetensorsFile file = SafetensorsFile::open(tensors_name);
  FactorNames names;
  for (const Module& module : spec.modules) names.modules[module.name] = &module;
  names.layout = [](const Module&) { return FactorLayout{true, true}; };
  std::vector<LowRankUpdate> updates = read_factor_pairs(file.tensors(), names, tensors_name);
  check_fits(differences(options, spec, updates), tensors_name, "adapter_config.json and the base model");
  for (LowRankUpdate& update : updates) update.alpha = options.scale * static_cast<double>(update.rank);
  AdapterContents contents = contents_of(updates, spec, true, options.dropout);
  contents.config_name = config_name;
  contents.tensors_name = tensors_name;
  return contents;
}

}  // namespace lowrank
