#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "model/config_reader.h"
#include "model/spec.h"

namespace lowrank {

/// Shapes of a decoder with gated MLPs and rotary positions: what Llama, Mistral, Qwen and Gemma share.
struct DecoderConfig {
  int64_t hidden = 0, ff = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t vocabulary = 0, max_positions = 0;
  double epsilon = 0;
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool qk_norm = false;       ///< each query and key head is normed
  bool rotary_order = false;  ///< GGUF stores query and key rows in llama.cpp's rotary order
  double norm_offset = 0;     ///< norms multiply with weight + norm_offset; GGUF stores the sum
  bool tied = false;
  std::vector<int64_t> windows;  ///< [layers] positions that a query sees back, itself included; 0: all
};

/// The keys that all these families' config.json share; windows from `layer_types` with `sliding_window`
/// where it is given, else none. Errors: invalid or unsupported, the key named.
DecoderConfig read_decoder_config(const ConfigReader& read);

/// The same keys from a GGUF file's metadata, as config.json would have them.
nlohmann::json decoder_config_from_gguf(const GgufFile& file, const std::string& architecture);

/// A norm of each layer: its name in both kinds of files, below the layer's prefix.
struct LayerNormName {
  std::string_view name, gguf_name;
};

/// Names and shapes of such a model, with these norms in each layer.
ModelSpec decoder_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c,
                       const std::vector<LayerNormName>& norms);

}  // namespace lowrank
