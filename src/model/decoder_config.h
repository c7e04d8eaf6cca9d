#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "model/activation.h"
#include "model/config_reader.h"
#include "model/rope_frequencies.h"

namespace lowrank {

class Checkpoint;
struct LoadOptions;
struct Mixer;
struct ModelSpec;

/// What a part of a decoder is called in folders and in GGUF files, without `.weight` and `.bias`. A part
/// that a model lacks has no name.
struct PartName {
  std::string_view name, gguf_name;

  explicit operator bool() const { return !name.empty(); }
};

/// The parts of a decoder; the defaults are Llama's. Which norms a layer has, and whether products are fused
/// or gated, follows from which parts have names.
struct DecoderNames {
  std::string_view prefix = "model.";   ///< of all names except the head's; some folders omit it
  std::string_view layers = "layers.";  ///< what follows it in a layer's names, before the number
  PartName embedding{"embed_tokens", "token_embd"}, final_norm{"norm", "output_norm"};
  PartName positions;  ///< a learned row for each position

  // Parts of a layer, below `<prefix><layers><number>.` and `blk.<number>.`.
  PartName query{"self_attn.q_proj", "attn_q"}, key{"self_attn.k_proj", "attn_k"};
  PartName value{"self_attn.v_proj", "attn_v"};
  PartName query_key_value;  ///< one matrix in place of these three
  PartName attention_out{"self_attn.o_proj", "attn_output"};
  PartName gate{"mlp.gate_proj", "ffn_gate"}, up{"mlp.up_proj", "ffn_up"};
  PartName gate_up;  ///< one matrix in place of these two, the gate's rows first
  PartName down{"mlp.down_proj", "ffn_down"};
  PartName before_attention{"input_layernorm", "attn_norm"}, after_attention;
  PartName before_mlp{"post_attention_layernorm", "ffn_norm"}, after_mlp;
  PartName query_norm, key_norm;
  PartName
      sinks;  ///< a logit for each head (kernels/operations/attention_sinks.h), without `.weight` in folders

  bool gated() const { return gate || gate_up; }
};

/// A kind of layer that has something else than plain attention (model/mixers): what its parts are, and how
/// they are read. Both take the layer's prefix in folders, such as `model.layers.0.`.
struct MixerKind {
  /// Adds the modules and tensors of a layer.
  std::function<void(ModelSpec& spec, int layer, const std::string& prefix)> describe;
  std::function<std::unique_ptr<Mixer>(const Checkpoint&, const LoadOptions&, const std::string& prefix)>
      load;
  bool recurrent = true;  ///< it carries a state from row to row
};

/// Experts in place of the MLPs of some layers: a router chooses those that a token uses.
struct ExpertsConfig {
  int64_t count = 0;       ///< in each of these layers; 0: no layer has experts
  int64_t used = 0;        ///< by a token
  int64_t ff = 0;          ///< hidden values of each
  bool normalised = true;  ///< the probabilities of the used ones are divided by their sum
  bool biases = false;     ///< of the router and of each expert
  /// PEFT knows the experts as stacks only, and folders are written with stacks. The names of an expert's
  /// tensors then begin with that of its stack.
  bool only_stacked = false;
  /// Stacks in folders are {experts, in, out}, and gate and up take turns in their rows.
  bool interleaved = false;
  Activation activation = Activation::silu;  ///< of the gate: silu or the tanh form of GELU
  double limit = 0;  ///< > 0: h = (u + 1) g / (1 + exp(-alpha g)) with g at most this, and u within it
  double alpha = 0;
  std::vector<bool> layers;  ///< [layers] whether a layer has experts

  PartName router{"mlp.gate", "ffn_gate_inp"};
  bool plain_router = false;  ///< the router is adapted like other linear layers
  PartName input_scales;      ///< factors on what the router reads, a tensor's whole name; not applied here
  PartName output_scales;     ///< a factor on each expert's output, a tensor's whole name
  std::string_view legacy_router;            ///< name in other folders; empty: none
  std::string_view folder = "mlp.experts.";  ///< an expert's names begin with this and its number
  std::string_view stack = "mlp.experts.";   ///< the names of stacks begin with this
  PartName gate{"gate_proj", "ffn_gate_exps"}, up{"up_proj", "ffn_up_exps"};
  PartName down{"down_proj", "ffn_down_exps"};

  /// An expert that every token uses, besides, weighed by the sigmoid of one more product; 0: none.
  int64_t shared_ff = 0;
  PartName shared_weight{"mlp.shared_expert_gate", "ffn_gate_inp_shexp"};
  PartName shared_gate{"mlp.shared_expert.gate_proj", "ffn_gate_shexp"};
  PartName shared_up{"mlp.shared_expert.up_proj", "ffn_up_shexp"};
  PartName shared_down{"mlp.shared_expert.down_proj", "ffn_down_shexp"};

  bool in(int64_t layer) const { return count > 0 && layers[layer]; }
};

/// A decoder: sizes, names, and how it differs from Llama.
struct DecoderConfig {
  int64_t hidden = 0, ff = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t vocabulary = 0, max_positions = 0;
  bool tied = false;
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  Activation activation = Activation::silu;  ///< of the gate if there is one, else of `up`

  bool layer_norm = false;      ///< LayerNorm with biases in place of RMSNorm
  double epsilon = 0;           ///< of all norms
  double norm_offset = 0;       ///< norms multiply by weight + norm_offset; GGUF stores the sum
  bool norm_all_heads = false;  ///< query and key norms span all heads together, not each head

  std::vector<int64_t> windows;         ///< [layers] positions that a query sees, including its own (of a
                                        ///< bidirectional model on either side); 0: all
  bool bidirectional = false;           ///< tokens also see those that follow them
  double query_scale = 0;               ///< factor on q·k
  double score_softcap = 0;             ///< c > 0: the softmax sees c tanh(s / c) of each score s
  std::vector<RopeFrequencies> rotary;  ///< the frequencies that layers choose from
  std::vector<int64_t> rotary_of;       ///< [layers] index into `rotary`; -1: the layer rotates nothing

  /// [layers] what stands in the place of attention; null: attention. Empty: all layers have attention.
  std::vector<std::shared_ptr<const MixerKind>> mixers;

  double embedding_multiplier = 1;
  double residual_multiplier = 1;  ///< factor on each branch before it is added
  double logits_multiplier = 1;
  double logit_softcap = 0;  ///< c > 0: each logit y becomes c tanh(y / c)

  ExpertsConfig experts;
  DecoderNames names;
  std::string gguf_architecture;
  bool rotary_order = false;  ///< GGUF stores query and key rows in llama.cpp's rotary order
  bool transposed = false;    ///< folders store the layers' matrices as {in, out}

  /// What stands in the place of attention; nullptr: attention.
  const MixerKind* mixer_of(int64_t layer) const { return mixers.empty() ? nullptr : mixers[layer].get(); }

  /// All layers rotate with these frequencies.
  void rotate(RopeFrequencies frequencies);
};

/// The keys that Llama's relatives share in config.json: sizes, biases, q·k divided by the square root of the
/// head size, and windows from `layer_types` with `sliding_window` if given, else none. Rotary frequencies
/// are not set. Errors: invalid or unsupported, the key named.
DecoderConfig read_decoder_config(const ConfigReader& read);

/// The configuration of a multimodal model's text tower: its `text_config`, with the outer
/// `tie_word_embeddings`; of other models, the configuration itself. Errors: invalid, the key named.
nlohmann::json text_config(const nlohmann::json& config);

/// True for the configuration of a multimodal model, whose text tower has one of its own.
bool is_multimodal(const nlohmann::json& config);

/// Experts in all layers, `used` of `count` for each token where the configuration says nothing else; `key`
/// names its key for the count. Errors: invalid, the key named.
ExpertsConfig read_experts(const ConfigReader& read, int64_t layers, std::string_view key, int64_t count,
                           int64_t used);
/// The same with a key for the number of experts that a token uses; both keys must be there.
ExpertsConfig read_experts(const ConfigReader& read, int64_t layers, std::string_view key,
                           std::string_view used_key);

/// The same keys from a GGUF file's metadata, as config.json would have them. `partial_rotary`: a rotary
/// dimension below the head's becomes `partial_rotary_factor`; else it is an error (unsupported).
nlohmann::json decoder_config_from_gguf(const GgufFile& file, const std::string& architecture,
                                        bool partial_rotary = false);

/// A small model's config.json for tests: 2 layers, 4 heads on 2 key heads, a vocabulary of 64.
nlohmann::json tiny_decoder_config(std::string_view model_type, std::string_view model_class);

}  // namespace lowrank
