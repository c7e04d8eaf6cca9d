#include "model/gguf/decoder_gguf.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lowrank {
namespace {

/// The scaling in a configuration, and its type.
struct Scaling {
  nlohmann::json values = nlohmann::json::object();
  std::string type = "default";
};

Scaling scaling_of(const nlohmann::json& config) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_object()) continue;
    const ConfigReader read(*found);
    return {*found, read.text("rope_type", read.text("type", "default"))};
  }
  return {};
}

/// The length that a model was first trained on: a key of the configuration or of the scaling.
int64_t original_context(const nlohmann::json& config, const Scaling& scaling, int64_t now) {
  const char* key = "original_max_position_embeddings";
  return ConfigReader(config).count(key, ConfigReader(scaling.values).count(key, now));
}

/// The plain frequencies divided by the scaled ones.
std::vector<float> divisors(const RopeFrequencies& f) {
  const auto dimension = static_cast<int64_t>(2 * f.inverse.size());
  const RopeFrequencies plain = rope_frequencies({{"rope_theta", f.theta}}, dimension);
  std::vector<float> factors;
  for (size_t i = 0; i < f.inverse.size(); ++i) factors.push_back(plain.inverse[i] / f.inverse[i]);
  return factors;
}

std::vector<float> factors_of(const Scaling& scaling, const char* key) {
  const std::vector<double> listed = ConfigReader(scaling.values).numbers(key);
  return {listed.begin(), listed.end()};
}

void write_yarn(const GgufKeyWriter& keys, const Scaling& scaling, int64_t original, const DecoderConfig& c) {
  const ConfigReader read(scaling.values);
  const double factor =
      read.positive("factor", static_cast<double>(c.max_positions) / static_cast<double>(original));
  constexpr double rounding = 1e-5;
  const double strength = factor <= 1 ? 1 : 0.1 * std::log(factor) + 1;
  require_in_gguf(std::abs(c.rotary.front().attention_factor - strength) < rounding, "attention_factor",
                  "must be yarn's own, 0.1 ln(factor) + 1");
  require_in_gguf(read.flag("truncate", true), "truncate", "must be true");
  keys.text(gguf_key::scaling, "yarn");
  keys.number(gguf_key::scaling_factor, factor);
  keys.count(gguf_key::original_context, original);
  keys.number(gguf_key::beta_fast, read.positive("beta_fast", 32));
  keys.number(gguf_key::beta_slow, read.positive("beta_slow", 1));
}

void write_rotary(GgufDescription& description, const GgufKeyWriter& keys, const nlohmann::json& config,
                  const DecoderConfig& c) {
  const RopeFrequencies& f = c.rotary.front();
  const Scaling scaling = scaling_of(config);
  keys.count(gguf_key::rotary_dim, static_cast<int64_t>(2 * f.inverse.size()));
  keys.number(gguf_key::theta, f.theta);
  const int64_t original = original_context(config, scaling, c.max_positions);
  if (scaling.type == "linear") {
    keys.text(gguf_key::scaling, "linear");
    keys.number(gguf_key::scaling_factor, ConfigReader(scaling.values).positive("factor", 1));
  } else if (scaling.type == "llama3") {
    description.tables.push_back({gguf_key::llama3_factors, divisors(f)});
    llama3_scaling(description.tables.back().values, f.theta, "config");  // fails where it could not be read
  } else if (scaling.type == "yarn") {
    write_yarn(keys, scaling, original, c);
  } else if (scaling.type == "longrope") {
    keys.text(gguf_key::scaling, "longrope");
    keys.count(gguf_key::original_context, original);
    keys.number(gguf_key::attention_factor, f.attention_factor);
    description.tables.push_back({gguf_key::long_factors, factors_of(scaling, "long_factor")});
    description.tables.push_back({gguf_key::short_factors, factors_of(scaling, "short_factor")});
  } else {
    require_in_gguf(scaling.type == "default", "rope_type",
                    "must be default, linear, llama3, yarn or longrope, not " + scaling.type);
  }
}

/// The number of positions up to which windows hide nothing.
int64_t context_of(const DecoderConfig& c, std::vector<std::string>& notes) {
  int64_t context = c.max_positions;
  for (const int64_t window : c.windows) {
    if (window > 0) context = std::min(context, window);
  }
  if (context < c.max_positions) {
    notes.push_back(
        fmt::format("llama.cpp has no windows in models of this architecture, so the file's context "
                    "is the window of {} positions, not {}",
                    context, c.max_positions));
  }
  return context;
}

}  // namespace

void GgufKeyWriter::windows(const std::vector<int64_t>& windows) const {
  const int64_t window = std::ranges::max(windows);
  std::vector<bool> slides;
  for (const int64_t own : windows) {
    require_in_gguf(own == 0 || own == window, "sliding_window",
                    "must be the same in all layers that have one");
    slides.push_back(own > 0);
  }
  if (window == 0) return;
  count(gguf_key::window, window);
  keys_.set_bools(prefix_ + std::string(gguf_key::window_period), slides);
}

void require_in_gguf(bool holds, std::string_view key, std::string_view must) {
  check(holds, ErrorKind::unsupported, "config: {} {} in a GGUF file", key, must);
}

GgufDescription describe_decoder(const nlohmann::json& config, const DecoderConfig& c) {
  GgufDescription description;
  description.keys.set_string("general.architecture", c.gguf_architecture);
  const GgufKeyWriter keys(description.keys, c.gguf_architecture);
  keys.count(gguf_key::layers, c.layers);
  keys.count(gguf_key::context, context_of(c, description.notes));
  keys.count(gguf_key::hidden, c.hidden);
  keys.count(gguf_key::ff, c.ff);
  keys.count(gguf_key::heads, c.heads);
  keys.count(gguf_key::kv_heads, c.kv_heads);
  keys.number(c.layer_norm ? gguf_key::epsilon : gguf_key::rms_epsilon, c.epsilon);
  keys.count(gguf_key::vocabulary, c.vocabulary);
  if (c.rotary.empty()) return description;
  keys.count(gguf_key::key_length, c.head_dim);
  keys.count(gguf_key::value_length, c.head_dim);
  write_rotary(description, keys, config, c);
  return description;
}

}  // namespace lowrank
