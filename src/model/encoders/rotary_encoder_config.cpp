#include "model/encoders/rotary_encoder_config.h"

#include <cmath>

#include "base/error.h"
#include "model/label_config.h"

namespace lowrank {
namespace {

constexpr const char* all_rows = "full_attention";
constexpr const char* near_rows = "sliding_attention";

/// The window of each layer. `local_attention` counts the rows on both sides of a row.
std::vector<int64_t> read_windows(const ConfigReader& read, int64_t layers) {
  std::vector<std::string> types = read.texts("layer_types");
  if (types.empty()) {
    const int64_t period = read.count("global_attn_every_n_layers", 3);
    for (int64_t i = 0; i < layers; ++i) types.emplace_back(i % period == 0 ? all_rows : near_rows);
  }
  read.require(std::ssize(types) == layers, "layer_types", "must name the type of each layer");
  std::vector<int64_t> windows;
  for (const std::string& type : types) {
    read.require(type == all_rows || type == near_rows, "layer_types",
                 "must be full_attention or sliding_attention in each layer");
    windows.push_back(type == all_rows ? 0 : read.count("local_attention", 128) / 2 + 1);
  }
  return windows;
}

/// The frequencies of one type of layers. Older files have a base for each, and one scaling for both.
RopeFrequencies read_rotary(const nlohmann::json& config, const char* type, const char* theta_key,
                            double theta, int64_t head_dim) {
  const ConfigReader read(config);
  nlohmann::json parameters = nlohmann::json::object();
  if (read.has("rope_parameters")) {
    const nlohmann::json& both = config["rope_parameters"];
    read.require(both.is_object() && (both.contains(all_rows) || both.contains(near_rows)), "rope_parameters",
                 "must have full_attention and sliding_attention");
    if (both.contains(type) && !both[type].is_null()) parameters = both[type];
    read.require(parameters.is_object(), "rope_parameters", "must have an object for each type of layers");
  }
  if (read.has("rope_scaling")) {
    read.require(config["rope_scaling"].is_object(), "rope_scaling", "must be an object");
    parameters.update(config["rope_scaling"]);
  }
  if (!parameters.contains("rope_theta")) parameters["rope_theta"] = read.positive(theta_key, theta);
  nlohmann::json own = config;
  own.erase("rope_scaling");
  own["rope_parameters"] = parameters;
  return rope_frequencies(own, head_dim);
}

Pooling read_pooling(const ConfigReader& read) {
  const std::string pooling = read.text("classifier_pooling", "cls");
  read.require(pooling == "cls" || pooling == "mean", "classifier_pooling", "must be cls or mean");
  return pooling == "cls" ? Pooling::first : Pooling::mean;
}

/// The weight table while it is built.
class Table {
 public:
  Table(ModelSpec& spec, const RotaryEncoderConfig& config) : spec_(spec), config_(config) {}

  void linear(const std::string& name, int layer, Role role, int64_t in, int64_t out, bool bias) {
    spec_.modules.push_back({name, layer, role, in, out});
    spec_.tensors.push_back({name + ".weight", "", {out, in}, layer, role});
    if (bias) spec_.tensors.push_back({name + ".bias", "", {out}, layer, role});
  }

  void norm(const std::string& name, int layer) {
    spec_.tensors.push_back({name + ".weight", "", {config_.hidden}, layer, Role::norm});
    if (config_.norm_bias) spec_.tensors.push_back({name + ".bias", "", {config_.hidden}, layer, Role::norm});
  }

  void layer(int index) {
    const RotaryEncoderConfig& c = config_;
    const std::string p = fmt::format("model.layers.{}.", index);
    if (index > 0) norm(p + "attn_norm", index);
    linear(p + "attn.Wqkv", index, Role::query_key_value, c.hidden, 3 * c.hidden, c.attention_bias);
    linear(p + "attn.Wo", index, Role::attention_out, c.hidden, c.hidden, c.attention_bias);
    norm(p + "mlp_norm", index);
    linear(p + "mlp.Wi", index, Role::gate_up, c.hidden, 2 * c.ff, c.mlp_bias);
    linear(p + "mlp.Wo", index, Role::down, c.ff, c.hidden, c.mlp_bias);
  }

  /// A label head that may be new: if the folder lacks it, it starts at random and must be trained.
  void label_head(int64_t outputs) {
    const auto first = spec_.tensors.size();
    const double depth = 2.0 * static_cast<double>(config_.layers);
    linear("head.dense", -1, Role::pooler, config_.hidden, config_.hidden, config_.head_bias);
    new_from(first, config_.deviation / std::sqrt(depth));
    const auto norms = spec_.tensors.size();
    norm("head.norm", -1);
    new_from(norms, 0);
    const auto last = spec_.tensors.size();
    linear("classifier", -1, Role::head, config_.hidden, outputs, true);
    new_from(last, 1 / std::sqrt(static_cast<double>(config_.hidden)));
  }

 private:
  void new_from(size_t first, double deviation) {
    for (size_t i = first; i < spec_.tensors.size(); ++i) {
      spec_.tensors[i].optional = true;
      spec_.tensors[i].start_deviation = spec_.tensors[i].is_weight() ? deviation : 0;
    }
  }

  ModelSpec& spec_;
  const RotaryEncoderConfig& config_;
};

}  // namespace

RotaryEncoderConfig read_rotary_encoder_config(const nlohmann::json& config) {
  const ConfigReader read(config);
  RotaryEncoderConfig c;
  c.hidden = read.count("hidden_size");
  c.ff = read.count("intermediate_size");
  c.layers = read.count("num_hidden_layers", std::nullopt, most_layers);
  c.heads = read.count("num_attention_heads");
  c.vocabulary = read.count("vocab_size");
  c.positions = read.count("max_position_embeddings", 8192);
  c.epsilon = read.positive("norm_eps", 1e-5);
  c.deviation = read.number("initializer_range", 0.02);
  c.norm_bias = read.flag("norm_bias", false);
  c.attention_bias = read.flag("attention_bias", false);
  c.mlp_bias = read.flag("mlp_bias", false);
  c.head_bias = read.flag("classifier_bias", false);
  c.activation = read_activation(read, "hidden_activation", "gelu");
  c.head_activation = read_activation(read, "classifier_activation", "gelu");
  c.pooling = read_pooling(read);
  read.require(c.hidden % c.heads == 0 && c.hidden / c.heads % 2 == 0, "num_attention_heads",
               "must divide hidden_size into heads of an even size");
  c.windows = read_windows(read, c.layers);
  const int64_t head_dim = c.hidden / c.heads;
  c.rotary = {read_rotary(config, all_rows, "global_rope_theta", 160'000, head_dim),
              read_rotary(config, near_rows, "local_rope_theta", 10'000, head_dim)};
  return c;
}

ModelSpec rotary_encoder_spec(std::string_view family, const nlohmann::json& config,
                              const RotaryEncoderConfig& c) {
  ModelSpec spec;
  spec.family = std::string(family);
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.heads = spec.kv_heads = c.heads;
  spec.head_dim = c.hidden / c.heads;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.positions;
  for (const RopeFrequencies& frequencies : c.rotary)
    spec.fixed_positions = std::min(spec.fixed_positions, frequencies.fixed_positions);
  spec.optional_prefix = "model.";
  spec.labels = labels_of(config);
  spec.task = task_of(spec.labels);
  spec.ignored = {"head.", "decoder."};  // of masked language models
  Table table(spec, c);
  const std::string embeddings = "model.embeddings.tok_embeddings";
  spec.modules.push_back({embeddings, -1, Role::embedding, c.vocabulary, c.hidden});
  spec.tensors.push_back({embeddings + ".weight", "", {c.vocabulary, c.hidden}, -1, Role::embedding});
  table.norm("model.embeddings.norm", -1);
  for (int layer = 0; layer < c.layers; ++layer) table.layer(layer);
  table.norm("model.final_norm", -1);
  if (!spec.labels) return spec;
  table.label_head(spec.labels->outputs());
  spec.head_modules = {"classifier", "score"};
  return spec;
}

}  // namespace lowrank
