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
  int64_t positions = 0;       ///< available to a text
  int64_t first_position = 0;  ///< row of the position table for position 0
  int64_t token_types = 0;
  double epsilon = 0;
  double deviation = 0;  ///< standard deviation of new weights
  Activation activation = Activation::gelu;
  std::string prefix;      ///< of all names except the head's
  std::string head_dense;  ///< first layer of the label head, y = tanh(W x + b) of a sequence's first row
  std::string head_out;    ///< its last layer
};

/// The keys that both families share in config.json. The position table has `first_position` rows before the
/// first position. Errors: invalid or unsupported, the key named.
EncoderConfig read_encoder_config(const ConfigReader& read, int64_t first_position);

/// A configuration of RoBERTa and its relatives: positions from after the padding token's id, a label head of
/// its own. Errors: as read_encoder_config.
EncoderConfig read_roberta_config(const nlohmann::json& config);

/// Names and shapes, with the label head if the configuration is a classifier's (label_config.h).
ModelSpec encoder_spec(std::string_view family, const nlohmann::json& config, const EncoderConfig& c);

/// A small model's config.json for tests: 2 layers, 4 heads, a vocabulary of 64, a head for three classes.
nlohmann::json tiny_encoder_config(std::string_view model_type, std::string_view model_class,
                                   int64_t token_types);

}  // namespace lowrank
