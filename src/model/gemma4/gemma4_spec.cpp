#include "model/gemma4/gemma4_spec.h"

#include <fmt/format.h>

#include "model/decoders/decoder_spec.h"

namespace lowrank {
namespace {

namespace part = gemma4_part;

/// Adds the tensors and modules of one layer, or with layer -1 those outside.
class SpecBuilder {
 public:
  SpecBuilder(ModelSpec& spec, std::string prefix, std::string gguf_prefix, int layer)
      : spec_(spec), prefix_(std::move(prefix)), gguf_prefix_(std::move(gguf_prefix)), layer_(layer) {}

  void linear(const char* name, const char* gguf_name, Role role, int64_t out, int64_t in,
              bool bias = false) const {
    spec_.modules.push_back({prefix_ + name, layer_, role, in, out});
    tensor(name, ".weight", gguf_name, {out, in}, role);
    if (bias) tensor(name, ".bias", gguf_name, {out}, role);
  }
  void norm(const char* name, const char* gguf_name, int64_t size) const {
    tensor(name, ".weight", gguf_name, {size}, Role::norm);
  }
  void table(const char* name, const char* gguf_name, int64_t rows, int64_t columns) const {
    tensor(name, ".weight", gguf_name, {rows, columns}, Role::embedding);
  }
  void constant(const char* name, const char* gguf_name) const {
    spec_.tensors.push_back(
        {prefix_ + name, gguf_prefix_ + gguf_name + ".weight", {1}, layer_, Role::constant});
  }

 private:
  void tensor(const char* name, const char* end, const char* gguf_name, std::vector<int64_t> shape,
              Role role) const {
    spec_.tensors.push_back(
        {prefix_ + name + end, gguf_prefix_ + gguf_name + end, std::move(shape), layer_, role});
  }

  ModelSpec& spec_;
  std::string prefix_, gguf_prefix_;
  int layer_;
};

void add_layer(ModelSpec& spec, const Gemma4Config& c, int64_t number) {
  const Gemma4Layer& layer = c.layers[number];
  const std::string prefix = gemma4_layer_prefix(c, number);
  const SpecBuilder add(spec, prefix, fmt::format("blk.{}.", number), static_cast<int>(number));
  const int64_t q = c.heads * layer.head_dim, kv = layer.kv_heads * layer.head_dim;
  add.linear(part::query, "attn_q", Role::query, q, c.hidden, c.bias);
  if (c.is_source(number)) {
    add.linear(part::key, "attn_k", Role::key, kv, c.hidden, c.bias);
    if (!layer.value_is_key) add.linear(part::value, "attn_v", Role::value, kv, c.hidden, c.bias);
    add.norm(part::key_norm, "attn_k_norm", layer.head_dim);
  } else {
    // Some files have them, but nothing reads them.
    for (const char* unused : {part::key, part::value, part::key_norm})
      spec.ignored.push_back(prefix + unused + ".");
  }
  add.norm(part::query_norm, "attn_q_norm", layer.head_dim);
  add.linear(part::attention_out, "attn_output", Role::attention_out, c.hidden, q, c.bias);
  add.linear(part::gate, "ffn_gate", Role::gate, layer.ff, c.hidden);
  add.linear(part::up, "ffn_up", Role::up, layer.ff, c.hidden);
  add.linear(part::down, "ffn_down", Role::down, c.hidden, layer.ff);
  add.norm(part::before_attention, "attn_norm", c.hidden);
  add.norm(part::after_attention, "post_attention_norm", c.hidden);
  add.norm(part::before_mlp, "ffn_norm", c.hidden);
  add.norm(part::after_mlp, "post_ffw_norm", c.hidden);
  if (c.experts.count > 0) {
    add_experts(spec, c.experts, c.hidden, prefix, static_cast<int>(number));
    add.norm(part::before_experts, "pre_ffw_norm_2", c.hidden);
    add.norm(part::after_experts, "post_ffw_norm_2", c.hidden);
    add.norm(part::after_dense, "post_ffw_norm_1", c.hidden);
  }
  if (c.layer_input > 0) {
    add.linear(part::input_gate, "inp_gate", Role::layer_input, c.layer_input, c.hidden);
    add.linear(part::input_projection, "proj", Role::layer_input, c.hidden, c.layer_input);
    add.norm(part::after_input, "post_norm", c.hidden);
  }
  add.constant(part::scalar, "layer_output_scale");
}

}  // namespace

std::string gemma4_layer_prefix(const Gemma4Config& c, int64_t layer) {
  return fmt::format("{}layers.{}.", c.prefix, layer);
}

ModelSpec gemma4_spec(std::string_view family, const nlohmann::json& config) {
  const Gemma4Config c = read_gemma4(config);
  ModelSpec spec;
  spec.family = std::string(family);
  spec.gguf_architecture = "gemma4";
  spec.config = config;
  spec.layers = c.count();
  spec.hidden_size = c.hidden;
  spec.heads = c.heads;  // The width of the keys differs from layer to layer, so it is not told.
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.max_positions;
  spec.rows_fixed = c.layer_input > 0 || c.shared_layers() > 0;
  spec.tied_head = c.tied;
  if (c.experts.count > 0) spec.experts = {c.experts.count, c.experts.used, c.experts.ff, c.experts.layers};
  spec.optional_prefix = c.prefix;
  if (is_multimodal(config))
    spec.other_towers = {"model.vision_tower.", "model.audio_tower.", "model.embed_vision.",
                         "model.embed_audio."};
  const SpecBuilder outside(spec, c.prefix, "", -1);
  spec.modules.push_back({c.prefix + part::embedding, -1, Role::embedding, c.vocabulary, c.hidden});
  outside.table(part::embedding, "token_embd", c.vocabulary, c.hidden);
  if (c.layer_input > 0) {
    const int64_t all = c.count() * c.layer_input;
    outside.table(part::input_embedding, "per_layer_token_embd", c.vocabulary, all);
    outside.linear(part::model_projection, "per_layer_model_proj", Role::layer_input, all, c.hidden);
    outside.norm(part::projection_norm, "per_layer_proj_norm", c.layer_input);
  }
  for (int64_t i = 0; i < c.count(); ++i) add_layer(spec, c, i);
  outside.norm(part::final_norm, "output_norm", c.hidden);
  spec.modules.push_back({"lm_head", -1, Role::head, c.hidden, c.vocabulary});
  spec.tensors.push_back(
      {"lm_head.weight", "output.weight", {c.vocabulary, c.hidden}, -1, Role::head, 0, c.tied});
  return spec;
}

}  // namespace lowrank
