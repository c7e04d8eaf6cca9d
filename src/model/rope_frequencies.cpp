#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "model/config_reader.h"

namespace lowrank {
namespace {

double number(const nlohmann::json& scaling, const char* key) {
  const auto value = scaling.find(key);
  check(value != scaling.end() && value->is_number() && value->get<double>() > 0, ErrorKind::invalid,
        "rope_scaling: '{}' must be a positive number", key);
  return value->get<double>();
}

/// Llama 3.1: long wavelengths are slowed down by `factor`, short ones kept, those between interpolated.
void scale_llama3(std::vector<float>& inverse, const nlohmann::json& scaling) {
  const double factor = number(scaling, "factor");
  const double low = number(scaling, "low_freq_factor");
  const double high = number(scaling, "high_freq_factor");
  const double context = number(scaling, "original_max_position_embeddings");
  check(high > low, ErrorKind::invalid, "rope_scaling: 'high_freq_factor' must be above 'low_freq_factor'");
  for (float& frequency : inverse) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength > context / low) {
      frequency = static_cast<float>(frequency / factor);
    } else if (wavelength >= context / high) {
      const double smooth = (context / wavelength - low) / (high - low);
      frequency = static_cast<float>((1 - smooth) * frequency / factor + smooth * frequency);
    }
  }
}

const nlohmann::json* scaling_of(const nlohmann::json& config) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object()) return &*found;
  }
  return nullptr;
}

}  // namespace

RopeFrequencies rope_frequencies(const nlohmann::json& config, int64_t rotary_dim) {
  const nlohmann::json* scaling = scaling_of(config);
  double theta = ConfigReader(config).positive("rope_theta", 10000.0);
  std::string type = "default";
  if (scaling) {
    const ConfigReader read(*scaling);
    theta = read.positive("rope_theta", theta);
    type = read.text("rope_type", read.text("type", type));
  }
  RopeFrequencies frequencies;
  for (int64_t i = 0; i < rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rotary_dim);
    frequencies.inverse.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  if (type == "linear") {
    const double factor = number(*scaling, "factor");
    for (float& frequency : frequencies.inverse) frequency = static_cast<float>(frequency / factor);
  } else if (type == "llama3") {
    scale_llama3(frequencies.inverse, *scaling);
  } else {
    check(type == "default", ErrorKind::unsupported,
          "rope_scaling: the type '{}' is not known; known are default, linear, llama3", type);
  }
  return frequencies;
}

nlohmann::json llama3_scaling(std::span<const float> factors, double theta, const std::string& where) {
  // The bands are Llama 3.1's in every published model; the largest factor is that of the long wavelengths.
  nlohmann::json scaling = {{"rope_type", "llama3"},
                            {"factor", std::ranges::max(factors)},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const auto rotary_dim = static_cast<int64_t>(2 * factors.size());
  const RopeFrequencies plain = rope_frequencies({{"rope_theta", theta}}, rotary_dim);
  const RopeFrequencies scaled =
      rope_frequencies({{"rope_theta", theta}, {"rope_scaling", scaling}}, rotary_dim);
  for (size_t i = 0; i < factors.size(); ++i) {
    const float expected = plain.inverse[i] / scaled.inverse[i];
    check(std::abs(factors[i] - expected) <= 1e-3F * expected, ErrorKind::unsupported,
          "{}: rope_freqs.weight is not Llama 3.1's scaling (factor {} is {} where it has {})", where, i,
          factors[i], expected);
  }
  return scaling;
}

RopeTable rope_table(const RopeFrequencies& frequencies, const at::Tensor& positions) {
  const auto rows = positions.numel();
  const auto columns = static_cast<int64_t>(frequencies.inverse.size());
  RopeTable table{at::empty({rows, columns}, at::kFloat), at::empty({rows, columns}, at::kFloat)};
  const int64_t* position = positions.const_data_ptr<int64_t>();
  float* cos = table.cos.mutable_data_ptr<float>();
  float* sin = table.sin.mutable_data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < columns; ++i, ++cos, ++sin) {
      const float angle = static_cast<float>(position[row]) * frequencies.inverse[i];
      *cos = std::cos(angle) * frequencies.attention_factor;
      *sin = std::sin(angle) * frequencies.attention_factor;
    }
  }
  return table;
}

}  // namespace lowrank
