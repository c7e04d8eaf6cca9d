#include "model/config_reader.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "formats/block_formats.h"
#include "model/rope_frequencies.h"

namespace lowrank {
namespace {

int64_t whole(const nlohmann::json& value, std::string_view key) {
  check(value.is_number_integer() && value > 0 && value <= std::numeric_limits<int32_t>::max(),
        ErrorKind::invalid, "config: {} must be a whole number from 1 to 2^31-1, not {}", key, value.dump());
  return value.get<int64_t>();
}

}  // namespace

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

int64_t ConfigReader::count(std::string_view key, std::optional<int64_t> fallback) const {
  const nlohmann::json* value = find(key);
  if (value) return whole(*value, key);
  check(fallback.has_value(), ErrorKind::invalid, "config: {} is missing", key);
  return *fallback;
}

double ConfigReader::number(std::string_view key, double fallback) const {
  const nlohmann::json* value = find(key);
  check(!value || value->is_number(), ErrorKind::invalid, "config: {} must be a number", key);
  return value ? value->get<double>() : fallback;
}

bool ConfigReader::flag(std::string_view key, bool fallback) const {
  const nlohmann::json* value = find(key);
  check(!value || value->is_boolean(), ErrorKind::invalid, "config: {} must be true or false", key);
  return value ? value->get<bool>() : fallback;
}

std::string ConfigReader::text(std::string_view key, std::string_view fallback) const {
  const nlohmann::json* value = find(key);
  check(!value || value->is_string(), ErrorKind::invalid, "config: {} must be a string", key);
  return value ? value->get<std::string>() : std::string(fallback);
}

std::vector<std::string> ConfigReader::texts(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return {};
  const bool holds = value->is_array() && std::ranges::all_of(*value, &nlohmann::json::is_string);
  check(holds, ErrorKind::invalid, "config: {} must be a list of strings", key);
  return value->get<std::vector<std::string>>();
}

void ConfigReader::require(bool holds, std::string_view key, std::string_view must) const {
  check(holds, ErrorKind::invalid, "config: {} {}", key, must);
}

int64_t GgufConfigReader::count(std::string_view key, std::optional<int64_t> fallback) const {
  const std::string name = prefix_ + std::string(key);
  const std::optional<int64_t> value = file_.find<int64_t>(name);
  check(value || fallback, ErrorKind::invalid, "{}: the key {} is missing", file_.path().string(), name);
  const int64_t result = value ? *value : *fallback;
  check(result > 0 && result <= std::numeric_limits<int32_t>::max(), ErrorKind::invalid,
        "{}: {} must be from 1 to 2^31-1, not {}", file_.path().string(), name, result);
  return result;
}

double GgufConfigReader::number(std::string_view key, double fallback) const {
  return file_.find<double>(prefix_ + std::string(key)).value_or(fallback);
}

nlohmann::json GgufConfigReader::rope_scaling(int64_t head_dim) const {
  if (const StoredTensor* stored = file_.find_tensor("rope_freqs.weight")) {
    const std::vector<int64_t> expected{head_dim / 2};
    check(stored->shape == expected && stored->dtype == DType::f32, ErrorKind::invalid,
          "{}: rope_freqs.weight must hold {} F32 values", file_.path().string(), head_dim / 2);
    std::vector<float> factors(head_dim / 2);
    expand(stored->dtype, stored->bytes, factors);
    return llama3_scaling(factors, number("rope.freq_base", 10000.0), file_.path().string());
  }
  const std::string type = file_.find<std::string>(prefix_ + "rope.scaling.type").value_or("none");
  if (type == "none") return nullptr;
  check(type == "linear", ErrorKind::unsupported,
        "{}: {}rope.scaling.type '{}' is not known; known are none, linear", file_.path().string(), prefix_,
        type);
  return {{"rope_type", "linear"}, {"factor", number("rope.scaling.factor", 1)}};
}

int64_t GgufConfigReader::vocabulary_size() const {
  // The table's own row count is what the tensors will be held against.
  const StoredTensor* table = file_.find_tensor("token_embd.weight");
  check(table != nullptr && !table->shape.empty(), ErrorKind::invalid, "{}: no tensor token_embd.weight",
        file_.path().string());
  return table->shape[0];
}

}  // namespace lowrank
