#include "model/nearest/config_match.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"

namespace lowrank {
namespace {

using Names = std::vector<std::string_view>;

/// One size under all of its names.
const std::array<Names, 9> other_names = {{
    {"hidden_size", "n_embd", "d_model", "dim", "model_dim"},
    {"num_hidden_layers", "n_layer", "n_layers", "num_layers"},
    {"num_attention_heads", "n_head", "n_heads", "num_heads"},
    {"num_key_value_heads", "n_head_kv", "n_kv_heads", "num_kv_heads", "num_kv", "multi_query_group_num"},
    {"intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim", "d_ff", "hidden_dim"},
    {"vocab_size", "padded_vocab_size", "n_vocab"},
    {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"},
    {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_eps", "norm_epsilon", "layernorm_epsilon"},
    {"hidden_act", "activation_function", "hidden_activation"},
}};

constexpr std::string_view layer_keys[] = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"};
constexpr std::string_view expert_keys[] = {"num_experts", "num_local_experts", "n_routed_experts",
                                            "moe_num_experts"};

/// Settings that change nothing in what is computed here; also the ends of such names.
constexpr std::string_view silent[] = {
    "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "use_cache", "auto_map",
    "_name_or_path", "initializer_range", "tokenizer_class", "id2label", "label2id", "problem_type",
    "output_attentions", "output_hidden_states", "return_dict", "pretraining_tp", "task_specific_params",
    "gradient_checkpointing", "is_decoder", "is_encoder_decoder", "attn_implementation",
    "_attn_implementation", "output_router_logits", "router_aux_loss_coef", "quantization_config",
    // Read as a whole where the family has rotary positions.
    "rope_theta", "rope_scaling", "rope_parameters"};
constexpr std::string_view silent_ends[] = {
    "_token_id", "dropout", "_pdrop", "_prob", "_dropout_prob", "initializer_factor", "_std"};

bool is_silent(std::string_view key) {
  return std::ranges::find(silent, key) != std::end(silent) ||
         std::ranges::any_of(silent_ends, [&](std::string_view end) { return key.ends_with(end); });
}

int64_t largest_of(const nlohmann::json& config, std::span<const std::string_view> keys) {
  int64_t largest = 0;
  for (const std::string_view key : keys) {
    const auto value = config.find(key);
    if (value != config.end() && value->is_number_integer())
      largest = std::max(largest, value->get<int64_t>());
  }
  return largest;
}

/// What the families' errors name first; empty if they name nothing.
std::string refused_key(std::string_view message) {
  constexpr std::string_view begin = "config: ";
  if (!message.starts_with(begin)) return {};
  message.remove_prefix(begin.size());
  return std::string(message.substr(0, message.find(' ')));
}

bool same_tables(const ModelSpec& a, const ModelSpec& b) {
  const auto same = [](const TensorRef& x, const TensorRef& y) {
    return x.name == y.name && x.shape == y.shape && x.optional == y.optional;
  };
  return a.max_positions == b.max_positions && a.fixed_positions == b.fixed_positions &&
         a.tied_head == b.tied_head && a.head_dim == b.head_dim && a.heads == b.heads &&
         std::ranges::equal(a.tensors, b.tensors, same);
}

/// True if the family looks at the setting: a value of a kind that no setting has is refused, or changes the
/// model, as does its absence.
bool reads(const ConfigMatch& match, const nlohmann::json& config, const ModelSpec& spec,
           const std::string& key) {
  for (const bool without : {false, true}) {
    nlohmann::json changed = config;
    if (without)
      changed.erase(key);
    else
      changed[key] = nlohmann::json::array({nlohmann::json::object()});
    try {
      if (!same_tables(match.family->spec(changed), spec)) return true;
    } catch (const Error&) {
      return true;
    }
  }
  return false;
}

/// The name under which the family reads what this setting says; empty if it reads it under none.
std::string name_read(const ConfigMatch& match, const nlohmann::json& config, const ModelSpec& spec,
                      const std::string& key) {
  for (const Names& names : other_names) {
    if (std::ranges::find(names, key) == names.end()) continue;
    for (const std::string_view name : names) {
      if (name != key && reads(match, config, spec, std::string(name))) return std::string(name);
    }
  }
  return {};
}

}  // namespace

nlohmann::json with_other_names(const nlohmann::json& config) {
  nlohmann::json completed = config;
  for (const Names& names : other_names) {
    const auto given = std::ranges::find_if(names, [&](std::string_view name) {
      const auto value = config.find(name);
      return value != config.end() && !value->is_null();
    });
    if (given == names.end()) continue;
    for (const std::string_view name : names) {
      if (!completed.contains(name)) completed[std::string(name)] = config.at(std::string(*given));
    }
  }
  return completed;
}

bool has_bounded_sizes(const nlohmann::json& config) {
  constexpr int64_t most_compared_layers = 1000, most_compared_experts = 50'000;
  const int64_t layers = largest_of(config, layer_keys), experts = largest_of(config, expert_keys);
  return layers <= most_compared_layers && experts <= most_compared_experts &&
         layers * experts <= most_compared_experts;
}

ConfigMatch read_as(const FamilyInfo& family, std::string_view model_type, const nlohmann::json& config) {
  ConfigMatch match{&family, std::string(model_type), config};
  match.config["model_type"] = match.model_type;
  constexpr size_t most_refused = 8;
  while (match.refused.size() < most_refused) {
    try {
      match.spec = family.spec(match.config);
      return match;
    } catch (const Error& error) {
      const std::string key = refused_key(error.what());
      match.refused.emplace_back(error.what());
      if (key.empty()) return match;
      // The key may be one inside these.
      if (match.config.erase(key) == 0 &&
          match.config.erase("rope_scaling") + match.config.erase("rope_parameters") == 0)
        return match;
    }
  }
  return match;
}

std::vector<UnreadSetting> unread_settings(const ConfigMatch& match, const std::vector<std::string>& keys) {
  std::vector<UnreadSetting> unread;
  if (!match.spec) return unread;
  // Few experts make small tables; which settings are read does not depend on their number.
  nlohmann::json small = match.config;
  const auto used = small.find("num_experts_per_tok");
  const bool counted = used != small.end() && used->is_number_integer();
  for (const std::string_view key : expert_keys) {
    if (small.contains(key) && counted) small[std::string(key)] = *used;
  }
  std::optional<ModelSpec> spec;
  try {
    spec = match.family->spec(small);
  } catch (const Error&) {
    return unread;
  }
  constexpr size_t most_tried = 200;
  for (const std::string& key : keys) {
    if (is_silent(key) || !small.contains(key) || small.at(key).is_null()) continue;
    if (unread.size() == most_tried) break;
    if (!reads(match, small, *spec, key)) unread.push_back({key, name_read(match, small, *spec, key)});
  }
  return unread;
}

}  // namespace lowrank
