#include "model/decoders/decoder_spec.h"

#include <algorithm>

#include <fmt/format.h>

namespace lowrank {
namespace {

/// A linear part of a layer.
struct Entry {
  PartName part;
  Role role;
  int64_t out, in, rotary_heads;
  bool bias;
};

std::vector<Entry> attention_linears(const DecoderConfig& c) {
  const DecoderNames& n = c.names;
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  const int64_t q_heads = c.rotary_order ? c.heads : 0;
  const int64_t k_heads = c.rotary_order ? c.kv_heads : 0;
  std::vector<Entry> entries;
  if (n.query_key_value) {
    entries.push_back({n.query_key_value, Role::query_key_value, q + 2 * kv, c.hidden, 0, c.qkv_bias});
  } else {
    entries.push_back({n.query, Role::query, q, c.hidden, q_heads, c.qkv_bias});
    entries.push_back({n.key, Role::key, kv, c.hidden, k_heads, c.qkv_bias});
    entries.push_back({n.value, Role::value, kv, c.hidden, 0, c.qkv_bias});
  }
  entries.push_back({n.attention_out, Role::attention_out, c.hidden, q, 0, c.out_bias});
  return entries;
}

std::vector<Entry> mlp_linears(const DecoderConfig& c) {
  const DecoderNames& n = c.names;
  std::vector<Entry> entries;
  if (n.gate_up) {
    entries.push_back({n.gate_up, Role::gate_up, 2 * c.ff, c.hidden, 0, c.mlp_bias});
  } else {
    if (n.gate) entries.push_back({n.gate, Role::gate, c.ff, c.hidden, 0, c.mlp_bias});
    entries.push_back({n.up, Role::up, c.ff, c.hidden, 0, c.mlp_bias});
  }
  entries.push_back({n.down, Role::down, c.hidden, c.ff, 0, c.mlp_bias});
  return entries;
}

void add_norm(ModelSpec& spec, const DecoderConfig& c, const std::string& name, const std::string& gguf_name,
              int64_t size, int layer) {
  TensorRef tensor{name + ".weight", gguf_name + ".weight", {size}, layer, Role::norm};
  tensor.gguf_offset = c.norm_offset;
  spec.tensors.push_back(std::move(tensor));
  if (c.layer_norm) spec.tensors.push_back({name + ".bias", gguf_name + ".bias", {size}, layer, Role::norm});
}

/// A matrix of each expert in a layer.
struct ExpertEntry {
  PartName part;
  Role role;
  int64_t rows, columns;
  std::string_view stack;  ///< in folders, where it has these rows of a layer
  int64_t first_row, layer_rows, step;
};

/// Adds them for the experts of one layer.
class ExpertsBuilder {
 public:
  ExpertsBuilder(ModelSpec& spec, const ExpertsConfig& experts, std::string prefix, int layer)
      : spec_(spec), experts_(experts), prefix_(std::move(prefix)), layer_(layer) {}

  void router(int64_t hidden) const {
    const ExpertsConfig& x = experts_;
    const std::string name = prefix_ + std::string(x.router.name);
    const std::string gguf_name = gguf(x.router);
    TensorRef router{name + ".weight", gguf_name + ".weight", {x.count, hidden}, layer_, Role::router};
    if (!x.legacy_router.empty()) router.legacy_name = prefix_ + std::string(x.legacy_router) + ".weight";
    spec_.modules.push_back({name, layer_, Role::router, hidden, x.count, false, !x.plain_router});
    spec_.tensors.push_back(std::move(router));
    if (x.biases)
      spec_.tensors.push_back({name + ".bias", gguf_name + ".bias", {x.count}, layer_, Role::router});
    for (const auto& [part, size] :
         {std::pair{x.input_scales, hidden}, std::pair{x.output_scales, x.count}}) {
      if (part)
        spec_.tensors.push_back(
            {prefix_ + std::string(part.name), gguf(part), {size}, layer_, Role::constant});
    }
  }

  void experts(const ExpertEntry& entry, bool bias) const {
    const ExpertsConfig& x = experts_;
    const std::string_view kind = bias ? "bias" : "weight";
    const std::string stack = fmt::format("{}{}{}", prefix_, x.stack, entry.stack);
    for (int64_t number = 0; number < x.count; ++number) {
      const std::string own = fmt::format("{}.{}.{}", number, entry.part.name, kind);
      const std::string alone = fmt::format("{}{}{}", prefix_, x.folder, own);
      TensorRef tensor{x.only_stacked ? fmt::format("{}.{}", stack, own) : alone,
                       fmt::format("{}.{}", gguf(entry.part), kind),
                       {entry.rows},
                       layer_,
                       entry.role};
      if (!bias) tensor.shape.push_back(entry.columns);
      tensor.expert = ExpertPart{number,          x.count,          stack + (bias ? "_bias" : ""),
                                 entry.first_row, entry.layer_rows, entry.step,
                                 x.interleaved};
      if (x.only_stacked) tensor.legacy_name = alone;
      if (!bias)
        spec_.modules.push_back(
            {std::string(tensor.module_name()), layer_, entry.role, entry.columns, entry.rows, false, true});
      spec_.tensors.push_back(std::move(tensor));
    }
  }

  void shared(const PartName& part, Role role, int64_t out, int64_t in) const {
    const std::string name = prefix_ + std::string(part.name);
    spec_.modules.push_back({name, layer_, role, in, out});
    spec_.tensors.push_back({name + ".weight", gguf(part) + ".weight", {out, in}, layer_, role});
  }

 private:
  std::string gguf(const PartName& part) const { return fmt::format("blk.{}.{}", layer_, part.gguf_name); }

  ModelSpec& spec_;
  const ExpertsConfig& experts_;
  std::string prefix_;
  int layer_;
};

void add_linears(ModelSpec& spec, const DecoderConfig& c, int layer, const std::vector<Entry>& entries) {
  const std::string prefix = layer_prefix(c.names, layer);
  const std::string gguf_prefix = fmt::format("blk.{}.", layer);
  for (const Entry& entry : entries) {
    const std::string name = prefix + std::string(entry.part.name);
    const std::string gguf_name = gguf_prefix + std::string(entry.part.gguf_name);
    spec.modules.push_back({name, layer, entry.role, entry.in, entry.out, c.transposed});
    TensorRef weight{name + ".weight", gguf_name + ".weight", {entry.out, entry.in}, layer,
                     entry.role,       entry.rotary_heads};
    weight.transposed = c.transposed;
    spec.tensors.push_back(std::move(weight));
    if (!entry.bias) continue;
    spec.tensors.push_back(
        {name + ".bias", gguf_name + ".bias", {entry.out}, layer, entry.role, entry.rotary_heads});
  }
}

void add_layer(ModelSpec& spec, const DecoderConfig& c, int layer) {
  const DecoderNames& n = c.names;
  const std::string prefix = layer_prefix(n, layer);
  const std::string gguf_prefix = fmt::format("blk.{}.", layer);
  const MixerKind* mixer = c.mixer_of(layer);
  if (mixer) {
    mixer->describe(spec, layer, prefix);
    spec.recurrent |= mixer->recurrent;
  } else {
    add_linears(spec, c, layer, attention_linears(c));
  }
  if (c.experts.in(layer))
    add_experts(spec, c.experts, c.hidden, prefix, layer);
  else
    add_linears(spec, c, layer, mlp_linears(c));
  if (n.sinks && !mixer)
    spec.tensors.push_back({prefix + std::string(n.sinks.name),
                            gguf_prefix + std::string(n.sinks.gguf_name) + ".weight",
                            {c.heads},
                            layer,
                            Role::sink});
  const int64_t q = c.norm_all_heads ? c.heads * c.head_dim : c.head_dim;
  const int64_t k = c.norm_all_heads ? c.kv_heads * c.head_dim : c.head_dim;
  for (const auto& [part, size] :
       {std::pair{n.before_attention, c.hidden}, std::pair{n.after_attention, c.hidden},
        std::pair{n.before_mlp, c.hidden}, std::pair{n.after_mlp, c.hidden},
        std::pair{mixer ? PartName{} : n.query_norm, q}, std::pair{mixer ? PartName{} : n.key_norm, k}}) {
    if (part)
      add_norm(spec, c, prefix + std::string(part.name), gguf_prefix + std::string(part.gguf_name), size,
               layer);
  }
}

void add_table(ModelSpec& spec, const DecoderNames& names, const PartName& part, Role role, int64_t rows,
               int64_t columns) {
  const std::string name = std::string(names.prefix) + std::string(part.name);
  spec.modules.push_back({name, -1, role, rows, columns});
  spec.tensors.push_back(
      {name + ".weight", std::string(part.gguf_name) + ".weight", {rows, columns}, -1, role});
}

}  // namespace

std::string layer_prefix(const DecoderNames& names, int64_t layer) {
  return fmt::format("{}{}{}.", names.prefix, names.layers, layer);
}

void add_experts(ModelSpec& spec, const ExpertsConfig& x, int64_t hidden, const std::string& prefix,
                 int layer) {
  const ExpertsBuilder add(spec, x, prefix, layer);
  add.router(hidden);
  const int64_t step = x.interleaved ? 2 : 1, up = x.interleaved ? 1 : x.ff;
  for (const ExpertEntry& entry :
       {ExpertEntry{x.gate, Role::gate, x.ff, hidden, "gate_up_proj", 0, 2 * x.ff, step},
        ExpertEntry{x.up, Role::up, x.ff, hidden, "gate_up_proj", up, 2 * x.ff, step},
        ExpertEntry{x.down, Role::down, hidden, x.ff, "down_proj", 0, hidden, 1}}) {
    add.experts(entry, false);
    if (x.biases) add.experts(entry, true);
  }
  if (x.shared_ff == 0) return;
  add.shared(x.shared_weight, Role::router, 1, hidden);
  add.shared(x.shared_gate, Role::gate, x.shared_ff, hidden);
  add.shared(x.shared_up, Role::up, x.shared_ff, hidden);
  add.shared(x.shared_down, Role::down, hidden, x.shared_ff);
}

ModelSpec decoder_spec(std::string_view family, const nlohmann::json& config, const DecoderConfig& c) {
  ModelSpec spec;
  spec.family = std::string(family);
  spec.gguf_architecture = c.gguf_architecture;
  spec.config = config;
  spec.layers = c.layers;
  spec.hidden_size = c.hidden;
  spec.heads = c.heads;
  spec.kv_heads = c.kv_heads;
  spec.head_dim = c.head_dim;
  spec.vocabulary_size = c.vocabulary;
  spec.max_positions = c.max_positions;
  for (const RopeFrequencies& frequencies : c.rotary) {
    spec.fixed_positions = std::min(spec.fixed_positions, frequencies.fixed_positions);
    spec.restarts_cache |= !frequencies.longer.empty();
  }
  if (c.experts.count > 0) spec.experts = {c.experts.count, c.experts.used, c.experts.ff, c.experts.layers};
  spec.tied_head = c.tied;
  if (c.bidirectional) spec.task = Task::embedding;
  spec.optional_prefix = std::string(c.names.prefix);
  add_table(spec, c.names, c.names.embedding, Role::embedding, c.vocabulary, c.hidden);
  if (c.names.positions)
    add_table(spec, c.names, c.names.positions, Role::position, c.max_positions, c.hidden);
  for (int layer = 0; layer < c.layers; ++layer) add_layer(spec, c, layer);
  add_norm(spec, c, std::string(c.names.prefix) + std::string(c.names.final_norm.name),
           std::string(c.names.final_norm.gguf_name), c.hidden, -1);
  spec.modules.push_back({"lm_head", -1, Role::head, c.hidden, c.vocabulary});
  spec.tensors.push_back(
      {"lm_head.weight", "output.weight", {c.vocabulary, c.hidden}, -1, Role::head, 0, c.tied});
  return spec;
}

void set_multimodal_names(ModelSpec& spec, const DecoderConfig& c, std::string_view stored_prefix,
                          std::string_view stored_head, std::initializer_list<std::string_view> towers) {
  for (TensorRef& tensor : spec.tensors) {
    if (tensor.role == Role::head)
      tensor.legacy_name = std::string(stored_head) + ".weight";
    else
      tensor.legacy_name = std::string(stored_prefix) + tensor.name.substr(c.names.prefix.size());
  }
  spec.other_towers.assign(towers.begin(), towers.end());
}

}  // namespace lowrank
