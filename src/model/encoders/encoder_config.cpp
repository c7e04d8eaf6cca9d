#include "model/encoders/encoder_config.h"

#include "base/error.h"
#include "model/label_config.h"

namespace lowrank {
namespace {

void add_linear(ModelSpec& spec, const std::string& name, int layer, Role role, int64_t in, int64_t out) {
  spec.modules.push_back({name, layer, role, in, out});
  spec.tensors.push_back({name + ".weight", "", {out, in}, layer, role});
  spec.tensors.push_back({name + ".bias", "", {out}, layer, role});
}

/// A layer that may be new: if the folder lacks it, it is initialised at random and must be trained.
void add_head_layer(ModelSpec& spec, const EncoderConfig& c, const std::string& name, Role role,
                    int64_t out) {
  add_linear(spec, name, -1, role, c.hidden, out);
  for (auto tensor = spec.tensors.end() - 2; tensor != spec.tensors.end(); ++tensor) {
    tensor->optional = true;
    tensor->start_deviation = tensor->is_weight() ? c.deviation : 0;
  }
}

void add_norm(ModelSpec& spec, const EncoderConfig& c, const std::string& name, int layer) {
  for (const auto& [part, legacy] : {std::pair{".weight", ".gamma"}, std::pair{".bias", ".beta"}}) {
    TensorRef tensor{name + part, "", {c.hidden}, layer, Role::norm};
    tensor.legacy_name = name + legacy;
    spec.tensors.push_back(std::move(tensor));
  }
}

void add_table(ModelSpec& spec, const std::string& name, Role role, int64_t rows, int64_t columns) {
  spec.modules.push_back({name, -1, role, rows, columns});
  spec.tensors.push_back({name + ".weight", "", {rows, columns}, -1, role});
}

void add_layer(ModelSpec& spec, const EncoderConfig& c, int layer) {
  const std::string p = fmt::format("{}encoder.layer.{}.", c.prefix, layer);
  add_linear(spec, p + "attention.self.query", layer, Role::query, c.hidden, c.hidden);
  add_linear(spec, p + "attention.self.key", layer, Role::key, c.hidden, c.hidden);
  add_linear(spec, p + "attention.self.value", layer, Role::value, c.hidden, c.hidden);
  add_linear(spec, p + "attention.output.dense", layer, Role::attention_out, c.hidden, c.hidden);
  add_norm(spec, c, p + "attention.output.LayerNorm", layer);
  add_linear(spec, p + "intermediate.dense", layer, Role::up, c.hidden, c.ff);
  add_linear(spec, p + "output.dense", layer, Role::down, c.ff, c.hidden);
  add_norm(spec, c, p + "output.LayerNorm", layer);
}

}  // namespace

EncoderConfig read_encoder_config(const ConfigReader& read, int64_t first_position) {
  EncoderConfig c;
  c.hidden = read.count("hidden_size");
  c.ff = read.count("intermediate_size");
  c.layers = read.count("num_hidden_layers", std::nullopt, most_layers);
  c.heads = read.count("num_attention_heads");
  c.vocabulary = read.count("vocab_size");
  c.first_position = first_position;
  c.positions = read.count("max_position_embeddings", 512) - first_position;
  c.token_types = read.count("type_vocab_size", 2);
  c.epsilon = read.positive("layer_norm_eps", 1e-12);
  c.deviation = read.number("initializer_range", 0.02);
  c.activation = read_activation(read, "hidden_act", "gelu");
  read.require(c.hidden % c.heads == 0, "num_attention_heads", "must divide hidden_size");
  read.require(c.positions > 0, "max_position_embeddings", "leaves no position for a text");
  read.require(read.text("position_embedding_type", "absolute") == "absolute", "position_embedding_type",
               "must be absolute");
  for (const char* name : {"is_decoder", "add_cross_attention"})
    read.require(!read.flag(name, false), name, "must be false");
  return c;
}

EncoderConfig read_roberta_config(const nlohmann::json& config) {
  const ConfigReader read(config);
  EncoderConfig c = read_encoder_config(read, read.count("pad_token_id", 1) + 1);
  c.prefix = "roberta.";
  c.head_dense = "classifier.dense";
  c.head_out = "classifier.out_proj";
  return c;
}

ModelSpec encoder_spec(std::string_view family, const nlohmann::json& config, const EncoderConfig& c) {
  ModelSpec spec;
  spec.family = std::string(family);
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.heads = spec.kv_heads = c.heads;
  spec.head_dim = c.hidden / c.heads;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.positions;
  spec.optional_prefix = c.prefix;
  spec.branch_names = {"attention.output", "output"};
  spec.labels = labels_of(config);
  spec.task = task_of(spec.labels);
  // Heads for other tasks, which are ignored.
  spec.ignored = {"cls.", "lm_head.", "pooler.", c.prefix + "pooler."};
  const std::string p = c.prefix + "embeddings.";
  add_table(spec, p + "word_embeddings", Role::embedding, c.vocabulary, c.hidden);
  add_table(spec, p + "position_embeddings", Role::position, c.first_position + c.positions, c.hidden);
  add_table(spec, p + "token_type_embeddings", Role::position, c.token_types, c.hidden);
  add_norm(spec, c, p + "LayerNorm", -1);
  for (int layer = 0; layer < c.layers; ++layer) add_layer(spec, c, layer);
  if (!spec.labels) return spec;
  add_head_layer(spec, c, c.head_dense, Role::pooler, c.hidden);
  add_head_layer(spec, c, c.head_out, Role::head, spec.labels->outputs());
  spec.head_modules = {"classifier", "score"};
  return spec;
}

nlohmann::json tiny_encoder_config(std::string_view model_type, std::string_view model_class,
                                   int64_t token_types) {
  return {{"architectures", nlohmann::json::array({model_class})},
          {"model_type", model_type},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"vocab_size", 64},
          {"max_position_embeddings", 66},
          {"type_vocab_size", token_types},
          {"pad_token_id", 1},
          {"id2label", {{"0", "no"}, {"1", "perhaps"}, {"2", "yes"}}}};
}

}  // namespace lowrank
