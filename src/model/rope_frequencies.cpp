#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "model/config_reader.h"

namespace lowrank {
namespace {

double number(const nlohmann::json& scaling, const char* key) {
  const auto value = scaling.find(key);
  check(value != scaling.end() && value->is_number() && value->get<double>() > 0, ErrorKind::invalid,
        "rope_scaling: '{}' must be a positive number", key);
  return value->get<double>();
}

std::vector<float> plain(double theta, int64_t rotary_dim) {
  std::vector<float> inverse;
  for (int64_t i = 0; i < rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rotary_dim);
    inverse.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  return inverse;
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

/// The number of positions that a model was first trained on, and the factor from it to the present one.
struct Stretch {
  int64_t original;
  double factor;
};

Stretch stretch_of(const nlohmann::json& config, const nlohmann::json& scaling) {
  const char* key = "original_max_position_embeddings";
  const int64_t now = ConfigReader(config).count("max_position_embeddings", 2048);
  const int64_t original = ConfigReader(config).count(key, ConfigReader(scaling).count(key, now));
  check(original > 1, ErrorKind::invalid, "rope_scaling: '{}' must be above 1", key);
  const double factor = static_cast<double>(now) / static_cast<double>(original);
  return {original, ConfigReader(scaling).positive("factor", factor)};
}

void scale_yarn(RopeFrequencies& f, const Stretch& stretch, const nlohmann::json& scaling) {
  const ConfigReader read(scaling);
  const auto size = static_cast<double>(2 * f.inverse.size());
  const auto original = static_cast<double>(stretch.original);
  // The index of the frequency that turns this many times within the original context.
  const auto place = [&](double turns) {
    return size * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(f.theta));
  };
  double low = place(read.positive("beta_fast", 32)), high = place(read.positive("beta_slow", 1));
  if (read.flag("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, size - 1);
  if (low == high) high += 0.001;
  for (size_t k = 0; k < f.inverse.size(); ++k) {
    const double ramp = std::clamp((static_cast<double>(k) - low) / (high - low), 0.0, 1.0);
    f.inverse[k] = static_cast<float>(f.inverse[k] * (1 - ramp) + f.inverse[k] / stretch.factor * ramp);
  }
  const auto strength = [&](double scale) {
    return stretch.factor <= 1 ? 1 : 0.1 * scale * std::log(stretch.factor) + 1;
  };
  const double above = read.number("mscale", 0), below = read.number("mscale_all_dim", 0);
  const double own = above != 0 && below != 0 ? strength(above) / strength(below) : strength(1);
  f.attention_factor = static_cast<float>(read.positive("attention_factor", own));
}

void scale_longrope(RopeFrequencies& f, const Stretch& stretch, const nlohmann::json& scaling) {
  const ConfigReader read(scaling);
  const auto divided = [&](const char* key) {
    const std::vector<double> factors = read.numbers(key);
    check(factors.size() == f.inverse.size() && std::ranges::all_of(factors, [](double x) { return x > 0; }),
          ErrorKind::invalid, "rope_scaling: '{}' must hold {} positive numbers", key, f.inverse.size());
    std::vector<float> inverse = f.inverse;
    for (size_t k = 0; k < inverse.size(); ++k) inverse[k] /= static_cast<float>(factors[k]);
    return inverse;
  };
  f.longer = divided("long_factor");
  f.inverse = divided("short_factor");
  f.fixed_positions = stretch.original;
  const double own =
      stretch.factor <= 1
          ? 1
          : std::sqrt(1 + std::log(stretch.factor) / std::log(static_cast<double>(stretch.original)));
  f.attention_factor = static_cast<float>(read.positive("attention_factor", own));
}

/// `proportional`: only the first frequencies turn, in pairs of columns that are half a head apart.
void keep_first(RopeFrequencies& f, const nlohmann::json& scaling) {
  const ConfigReader read(scaling);
  const double share = read.positive("partial_rotary_factor", 1), factor = read.positive("factor", 1);
  read.require(share <= 1, "partial_rotary_factor", "must be at most 1");
  constexpr double rounding = 1e-9;
  const auto turning = static_cast<size_t>(share * static_cast<double>(f.inverse.size()) + rounding);
  for (size_t k = 0; k < f.inverse.size(); ++k)
    f.inverse[k] = k < turning ? static_cast<float>(f.inverse[k] / factor) : 0;
}

const nlohmann::json* scaling_of(const nlohmann::json& config) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object()) return &*found;
  }
  return nullptr;
}

}  // namespace

std::vector<float> RopeFrequencies::of_length(int64_t length) const {
  if (length <= fixed_positions) return inverse;
  if (!longer.empty()) return longer;
  const auto size = static_cast<double>(2 * inverse.size());
  const double growth =
      dynamic * static_cast<double>(length) / static_cast<double>(fixed_positions) - (dynamic - 1);
  return plain(theta * std::pow(growth, size / (size - 2)), 2 * std::ssize(inverse));
}

RopeFrequencies rope_frequencies(const nlohmann::json& config, int64_t rotary_dim) {
  const nlohmann::json* scaling = scaling_of(config);
  RopeFrequencies f;
  f.theta = ConfigReader(config).positive("rope_theta", 10000.0);
  std::string type = "default";
  if (scaling) {
    const ConfigReader read(*scaling);
    f.theta = read.positive("rope_theta", f.theta);
    type = read.text("rope_type", read.text("type", type));
  }
  f.inverse = plain(f.theta, rotary_dim);
  if (type == "linear") {
    const double factor = number(*scaling, "factor");
    for (float& frequency : f.inverse) frequency = static_cast<float>(frequency / factor);
  } else if (type == "llama3") {
    scale_llama3(f.inverse, *scaling);
  } else if (type == "dynamic") {
    f.dynamic = number(*scaling, "factor");
    check(f.dynamic >= 1 && rotary_dim > 2, ErrorKind::invalid,
          "rope_scaling: 'dynamic' needs a factor of 1 or more and heads of more than 2 rotary dimensions");
    f.fixed_positions = ConfigReader(config).count("max_position_embeddings", 2048);
  } else if (type == "yarn") {
    scale_yarn(f, stretch_of(config, *scaling), *scaling);
  } else if (type == "longrope") {
    scale_longrope(f, stretch_of(config, *scaling), *scaling);
  } else if (type == "proportional") {
    keep_first(f, *scaling);
  } else {
    check(type == "default", ErrorKind::unsupported,
          "rope_scaling: the type '{}' is not known; known are default, linear, llama3, dynamic, yarn, "
          "longrope, proportional",
          type);
  }
  return f;
}

nlohmann::json with_rope_of(const nlohmann::json& config, const char* layer_type) {
  const auto all = config.find("rope_parameters");
  if (all == config.end() || !all->is_object()) return config;
  if (!all->contains("full_attention") && !all->contains("sliding_attention")) return config;
  const auto given = all->find(layer_type);
  ConfigReader(config).require(given != all->end() && given->is_object(), "rope_parameters",
                               fmt::format("must hold an object for {}", layer_type));
  nlohmann::json own = config;
  own["rope_parameters"] = *given;
  own["rope_parameters"].erase("truncate");
  return own;
}

int64_t rotary_dimension(const nlohmann::json& config, int64_t head_dim) {
  const char* key = "partial_rotary_factor";
  const ConfigReader read(config);
  double share = read.positive(key, 1);
  if (const nlohmann::json* scaling = scaling_of(config)) share = ConfigReader(*scaling).positive(key, share);
  // A share that is a quotient of whole numbers yields its numerator again, despite rounding.
  constexpr double rounding = 1e-9;
  read.require(share <= 1, key, "must be at most 1");
  const auto dimension = static_cast<int64_t>(static_cast<double>(head_dim) * share + rounding);
  read.require(dimension > 0 && dimension % 2 == 0, key, "must leave an even part of each head");
  return dimension;
}

nlohmann::json llama3_scaling(std::span<const float> factors, double theta, const std::string& where) {
  // The bands are Llama 3.1's in every published model; the largest factor is that of the long wavelengths.
  nlohmann::json scaling = {{"rope_type", "llama3"},
                            {"factor", std::ranges::max(factors)},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const auto rotary_dim = static_cast<int64_t>(2 * factors.size());
  const std::vector<float> unscaled = plain(theta, rotary_dim);
  const RopeFrequencies scaled =
      rope_frequencies({{"rope_theta", theta}, {"rope_scaling", scaling}}, rotary_dim);
  for (size_t i = 0; i < factors.size(); ++i) {
    const float expected = unscaled[i] / scaled.inverse[i];
    check(std::abs(factors[i] - expected) <= 1e-3F * expected, ErrorKind::unsupported,
          "{}: rope_freqs.weight is not Llama 3.1's scaling (factor {} is {} where it has {})", where, i,
          factors[i], expected);
  }
  return scaling;
}

namespace {

/// f32 [T]; undefined where all are 1.
at::Tensor query_factors(const RopeFrequencies& frequencies, const at::Tensor& positions) {
  const std::span position(positions.const_data_ptr<int64_t>(), static_cast<size_t>(positions.numel()));
  const bool any =
      std::ranges::any_of(position, [&](int64_t p) { return p >= frequencies.query_growth_length; });
  if (frequencies.query_growth == 0 || !any) return {};
  at::Tensor factors = at::empty({positions.numel()}, at::kFloat);
  auto* out = factors.mutable_data_ptr<float>();
  for (const int64_t p : position) {
    const int64_t times = p / frequencies.query_growth_length;
    *out++ = static_cast<float>(1 + frequencies.query_growth * std::log(1 + static_cast<double>(times)));
  }
  return factors;
}

}  // namespace

RopeTable rope_table(const RopeFrequencies& frequencies, const SequenceLayout& layout, at::Device device) {
  const int64_t rows = layout.positions.numel();
  const auto columns = static_cast<int64_t>(frequencies.inverse.size());
  RopeTable table{at::empty({rows, columns}, at::kFloat), at::empty({rows, columns}, at::kFloat),
                  frequencies.adjacent, query_factors(frequencies, layout.positions)};
  const int64_t* position = layout.positions.const_data_ptr<int64_t>();
  float* cos = table.cos.mutable_data_ptr<float>();
  float* sin = table.sin.mutable_data_ptr<float>();
  for (size_t s = 0; s < layout.first_positions.size(); ++s) {
    const int64_t begin = layout.offsets[s], end = layout.offsets[s + 1];
    const std::vector<float> inverse = frequencies.of_length(layout.first_positions[s] + end - begin);
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = 0; i < columns; ++i, ++cos, ++sin) {
        const float angle = static_cast<float>(position[row]) * inverse[i];
        *cos = std::cos(angle) * frequencies.attention_factor;
        *sin = std::sin(angle) * frequencies.attention_factor;
      }
    }
  }
  for (at::Tensor* values : {&table.cos, &table.sin, &table.query_factors}) {
    if (values->defined()) *values = sent_to(*values, device);
  }
  return table;
}

}  // namespace lowrank
