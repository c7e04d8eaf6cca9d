#include "model/config_reader.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/block_formats.h"
#include "model/rope_frequencies.h"

namespace lowrank {
namespace {

/// A value as shown in errors.
std::string shown(const nlohmann::json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  return one_line(json_text(value), 60);
}

[[noreturn]] void wrong(std::string_view key, std::string_view must, const nlohmann::json& value) {
  fail(ErrorKind::invalid, "config: {} must be {}, not {}", key, must, shown(value));
}

std::string range_words(int64_t most) {
  return most == most_count ? "a whole number from 1 to 2^31-1"
                            : fmt::format("a whole number from 1 to {}", most);
}

}  // namespace

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

int64_t ConfigReader::count(std::string_view key, std::optional<int64_t> fallback, int64_t most) const {
  const nlohmann::json* value = find(key);
  if (value) {
    if (!value->is_number_integer() || *value < 1 || *value > most) wrong(key, range_words(most), *value);
    return value->get<int64_t>();
  }
  check(fallback.has_value(), ErrorKind::invalid, "config: {} is missing", key);
  check(*fallback >= 1 && *fallback <= most, ErrorKind::invalid,
        "config: {} is missing, and the other keys give {} for it", key, *fallback);
  return *fallback;
}

double ConfigReader::number(std::string_view key, double fallback) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_number()) wrong(key, "a number", *value);
  return value ? value->get<double>() : fallback;
}

double ConfigReader::positive(std::string_view key, double fallback) const {
  const double value = number(key, fallback);
  check(value > 0, ErrorKind::invalid, "config: {} must be a number above 0, not {}", key, value);
  return value;
}

bool ConfigReader::flag(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_boolean()) wrong(key, "true or false", *value);
  return value ? value->get<bool>() : fallback;
}

std::string ConfigReader::text(std::string_view key, std::string_view fallback) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_string()) wrong(key, "a string", *value);
  return value ? value->get<std::string>() : std::string(fallback);
}

std::vector<std::string> ConfigReader::texts(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return {};
  const bool holds = value->is_array() && std::ranges::all_of(*value, &nlohmann::json::is_string);
  check(holds, ErrorKind::invalid, "config: {} must be a list of strings", key);
  return value->get<std::vector<std::string>>();
}

std::vector<double> ConfigReader::numbers(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return {};
  const bool holds = value->is_array() && std::ranges::all_of(*value, &nlohmann::json::is_number);
  check(holds, ErrorKind::invalid, "config: {} must be a list of numbers", key);
  return value->get<std::vector<double>>();
}

void ConfigReader::require(bool holds, std::string_view key, std::string_view must) const {
  check(holds, ErrorKind::invalid, "config: {} {}", key, must);
}

void ConfigReader::require_text(std::string_view key, std::string_view only) const {
  require(text(key, only) == only, key, "must be " + std::string(only));
}

int64_t GgufConfigReader::count(std::string_view key, std::optional<int64_t> fallback, int64_t most) const {
  const std::string name = prefix_ + std::string(key);
  const std::optional<int64_t> value = file_.find<int64_t>(name);
  check(value || fallback, ErrorKind::invalid, "{}: the key {} is missing", file_.path().string(), name);
  const int64_t result = value ? *value : *fallback;
  check(result > 0 && result <= most, ErrorKind::invalid, "{}: {} must be {}, not {}", file_.path().string(),
        name, range_words(most), result);
  return result;
}

double GgufConfigReader::number(std::string_view key, double fallback) const {
  return file_.find<double>(prefix_ + std::string(key)).value_or(fallback);
}

std::vector<float> GgufConfigReader::rope_factors(const char* tensor, int64_t rotary_dim) const {
  const StoredTensor* stored = file_.find_tensor(tensor);
  if (!stored) return {};
  const std::vector<int64_t> expected{rotary_dim / 2};
  check(stored->shape == expected && stored->dtype == DType::f32, ErrorKind::invalid,
        "{}: {} must hold {} F32 values", file_.path().string(), tensor, rotary_dim / 2);
  std::vector<float> factors(rotary_dim / 2);
  expand(stored->dtype, stored->bytes, factors);
  return factors;
}

nlohmann::json GgufConfigReader::rope_scaling(int64_t rotary_dim) const {
  if (const std::vector<float> factors = rope_factors(gguf_key::llama3_factors, rotary_dim); !factors.empty())
    return llama3_scaling(factors, number(gguf_key::theta, 10000.0), file_.path().string());
  const std::string type = file_.find<std::string>(prefix_ + std::string(gguf_key::scaling)).value_or("none");
  nlohmann::json scaling = {{"rope_type", type}};
  for (const auto& [key, name] : {std::pair{gguf_key::scaling_factor, "factor"},
                                  {gguf_key::beta_fast, "beta_fast"},
                                  {gguf_key::beta_slow, "beta_slow"}}) {
    if (const auto value = file_.find<double>(prefix_ + std::string(key))) scaling[name] = *value;
  }
  if (const auto original = file_.find<int64_t>(prefix_ + std::string(gguf_key::original_context)))
    scaling["original_max_position_embeddings"] = *original;
  if (const std::vector<float> factors = rope_factors(gguf_key::long_factors, rotary_dim); !factors.empty()) {
    scaling["rope_type"] = "longrope";
    scaling["long_factor"] = factors;
    scaling["short_factor"] = rope_factors(gguf_key::short_factors, rotary_dim);
    if (const auto value = file_.find<double>(prefix_ + std::string(gguf_key::attention_factor)))
      scaling["attention_factor"] = *value;
    return scaling;
  }
  if (type == "none") return nullptr;
  check(type == "linear" || type == "yarn", ErrorKind::unsupported,
        "{}: {}rope.scaling.type '{}' is not known; known are none, linear, yarn, and longrope where its "
        "factors are there",
        file_.path().string(), prefix_, type);
  if (type == "linear" && !scaling.contains("factor")) scaling["factor"] = 1;
  check(type != "yarn" || number(gguf_key::attention_factor, 1) == 1, ErrorKind::unsupported,
        "{}: {}{} other than 1 is not supported", file_.path().string(), prefix_, gguf_key::attention_factor);
  if (const double of_all = number(gguf_key::yarn_log_multiplier, 0); type == "yarn" && of_all != 0) {
    scaling["mscale"] = 1.0;
    scaling["mscale_all_dim"] = of_all;
  }
  return scaling;
}

std::vector<std::string> GgufConfigReader::layer_types(int64_t layers, int64_t usual) const {
  const std::string key = prefix_ + std::string(gguf_key::window_period);
  std::vector<bool> slides(layers);
  const auto found = file_.metadata().find(key);
  const auto* listed =
      found == file_.metadata().end() ? nullptr : std::get_if<std::vector<bool>>(&found->second);
  if (listed) {
    check(std::ssize(*listed) == layers, ErrorKind::invalid, "{}: {} has {} values for {} layers",
          file_.path().string(), key, listed->size(), layers);
    slides = *listed;
  } else {
    const int64_t period = count(gguf_key::window_period, usual);
    for (int64_t i = 0; i < layers; ++i) slides[i] = (i + 1) % period != 0;
  }
  std::vector<std::string> types;
  for (const bool slide : slides) types.emplace_back(slide ? "sliding_attention" : "full_attention");
  return types;
}

int64_t GgufConfigReader::vocabulary_size() const {
  // The tensors will be checked against the table's own row count.
  const StoredTensor* table = file_.find_tensor("token_embd.weight");
  check(table != nullptr && !table->shape.empty(), ErrorKind::invalid, "{}: no tensor token_embd.weight",
        file_.path().string());
  return table->shape[0];
}

}  // namespace lowrank
