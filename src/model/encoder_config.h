#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/activation.h"
#include "model/spec.h"

namespace lowrank {

/// Shapes and names of an encoder with a norm after each branch, learned positions and biases everywhere:
/// what BERT and RoBERTa share.
struct EncoderConfig {
  int64_t hidden = 0, ff = 0, layers = 0, heads = 0, vocabulary = 0;
  int64_t positions = 0;       ///< that a text can take
  int64_t first_position = 0;  ///< row of the table of positions for position 0
  int64_t token_types = 0;
  double epsilon = 0;
  double deviation = 0;  ///< of new weights
  Activation activation = Activation::gelu;
  std::string prefix;      ///< of all names but the head's
  std::string head_dense;  ///< first layer of the label head, y = tanh(W x + b) of a sequence's first row
  std::string head_out;    ///< its last layer
};

/// The keys that both families' config.json share. `first_position` rows of the table stand before the first
/// position. Errors: invalid or unsupported, the key named.
EncoderConfig read_encoder_config(const ConfigReader& read, int64_t first_position);

/// Names and shapes; with the label head where the configuration is a classifier's (label_config.h).
ModelSpec encoder_spec(std::string_view family, const nlohmann::json& config, const EncoderConfig& c);

/// A small model's config.json for tests: 2 layers, 4 heads, 64 tokens, a head for three classes.
nlohmann::json tiny_encoder_config(std::string_view model_type, std::string_view model_class,
                                   int64_t token_types);

}  // namespace lowrank
