#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/decoder_config.h"
#include "model/rope_frequencies.h"

namespace lowrank {

/// A layer of Gemma 4.
struct Gemma4Layer {
  int64_t window = 0;  ///< 0: full attention
  int64_t head_dim = 0, kv_heads = 0, ff = 0;
  bool value_is_key = false;  ///< values are the keys before their norm and rotation
  int64_t source = 0;         ///< the layer whose keys and values it reads; its own number: it has its own

  bool slides() const { return window > 0; }
};

/// Gemma 4, text only (Google DeepMind 2026): Gemma 3 with layers of different shapes.
struct Gemma4Config {
  int64_t hidden = 0, heads = 0, vocabulary = 0, max_positions = 0;
  int64_t layer_input = 0;  ///< width of the input of each layer beside the stream; 0: none
  double epsilon = 0, logit_softcap = 0;
  bool tied = true, bias = false;
  RopeFrequencies full, sliding;  ///< of layers with full attention, and of those with a window
  std::string prefix = "model.";  ///< of the tensors' names but the head's
  std::vector<Gemma4Layer> layers;
  /// In every layer, beside its MLP; count 0: none.
  ExpertsConfig experts;

  int64_t count() const { return static_cast<int64_t>(layers.size()); }
  /// True if the layer has keys and values of its own.
  bool is_source(int64_t layer) const { return layers[layer].source == layer; }
  /// True if later layers read this layer's keys and values.
  bool is_read_later(int64_t layer) const;
  /// The number of layers at the end without keys and values of their own.
  int64_t shared_layers() const;
};

/// The configuration of such a model, or of the text part of a multimodal one. Errors: invalid, and
/// unsupported for attention in both directions, the key named.
Gemma4Config read_gemma4(const nlohmann::json& config);

}  // namespace lowrank
