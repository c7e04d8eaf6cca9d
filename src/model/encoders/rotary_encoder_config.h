#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/activation.h"
#include "model/model.h"
#include "model/rope_frequencies.h"
#include "model/spec.h"

namespace lowrank {

/// Shapes and settings of an encoder with a norm before each branch, rotary positions, gated MLPs, and
/// windows in some layers: ModernBERT (Warner et al. 2024, arXiv 2412.13663).
struct RotaryEncoderConfig {
  int64_t hidden = 0, ff = 0, layers = 0, heads = 0, vocabulary = 0;
  int64_t positions = 0;  ///< available to a text
  double epsilon = 0;
  double deviation = 0;  ///< standard deviation of new weights
  bool norm_bias = false, attention_bias = false, mlp_bias = false, head_bias = false;
  Activation activation = Activation::gelu;       ///< of the gate, which is the first half
  Activation head_activation = Activation::gelu;  ///< in the label head
  Pooling pooling = Pooling::first;               ///< what the label head reads
  std::vector<int64_t> windows;         ///< [layers] a row sees those nearer than this on both sides; 0: all
  std::vector<RopeFrequencies> rotary;  ///< of layers that see all, and of those with a window
};

/// From config.json. Errors: invalid or unsupported, the key named.
RotaryEncoderConfig read_rotary_encoder_config(const nlohmann::json& config);

/// Names and shapes, with the label head if the configuration is a classifier's (label_config.h).
ModelSpec rotary_encoder_spec(std::string_view family, const nlohmann::json& config,
                              const RotaryEncoderConfig& c);

}  // namespace lowrank
