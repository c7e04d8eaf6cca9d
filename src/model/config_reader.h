#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/gguf.h"

namespace lowrank {

/// More layers than any model has; each costs memory before the file's tensors are checked.
inline constexpr int64_t most_layers = 10'000;

/// The same for the size of a head.
inline constexpr int64_t most_head_dim = 1 << 16;

/// The bound for counts without one of their own.
inline constexpr int64_t most_count = (int64_t{1} << 31) - 1;

/// Checked access to a model's config.json. Every error is `invalid` and names the key. Keys that are null
/// count as absent.
class ConfigReader {
 public:
  explicit ConfigReader(const nlohmann::json& config) : config_(config) {}

  /// A whole number from 1 to `most`. This also holds for the fallback, which may come from other keys.
  int64_t count(std::string_view key, std::optional<int64_t> fallback = std::nullopt,
                int64_t most = most_count) const;
  double number(std::string_view key, double fallback) const;
  /// A number above zero.
  double positive(std::string_view key, double fallback) const;
  bool flag(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  /// An array of strings; empty when absent.
  std::vector<std::string> texts(std::string_view key) const;
  /// An array of numbers; empty when absent.
  std::vector<double> numbers(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Errors: invalid, "config: KEY must …", when `holds` is false.
  void require(bool holds, std::string_view key, std::string_view must) const;
  /// Errors: invalid, when the key is present with any other value.
  void require_text(std::string_view key, std::string_view only) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  const nlohmann::json& config_;
};

/// Names of keys below `<architecture>.` and of tensors beside the weights, as they are read and written.
namespace gguf_key {
inline constexpr std::string_view layers = "block_count";
inline constexpr std::string_view hidden = "embedding_length";
inline constexpr std::string_view ff = "feed_forward_length";
inline constexpr std::string_view experts = "expert_count";
inline constexpr std::string_view used_experts = "expert_used_count";
inline constexpr std::string_view expert_ff = "expert_feed_forward_length";
inline constexpr std::string_view context = "context_length";
inline constexpr std::string_view vocabulary = "vocab_size";
inline constexpr std::string_view heads = "attention.head_count";
inline constexpr std::string_view kv_heads = "attention.head_count_kv";
inline constexpr std::string_view key_length = "attention.key_length";
inline constexpr std::string_view value_length = "attention.value_length";
inline constexpr std::string_view rms_epsilon = "attention.layer_norm_rms_epsilon";
inline constexpr std::string_view epsilon = "attention.layer_norm_epsilon";
inline constexpr std::string_view window = "attention.sliding_window";
inline constexpr std::string_view window_period = "attention.sliding_window_pattern";
inline constexpr std::string_view rotary_dim = "rope.dimension_count";
inline constexpr std::string_view theta = "rope.freq_base";
inline constexpr std::string_view window_theta = "rope.freq_base_swa";
inline constexpr std::string_view scaling = "rope.scaling.type";
inline constexpr std::string_view scaling_factor = "rope.scaling.factor";
inline constexpr std::string_view original_context = "rope.scaling.original_context_length";
inline constexpr std::string_view attention_factor = "rope.scaling.attn_factor";
inline constexpr std::string_view beta_fast = "rope.scaling.yarn_beta_fast";
inline constexpr std::string_view yarn_log_multiplier = "rope.scaling.yarn_log_multiplier";
inline constexpr std::string_view beta_slow = "rope.scaling.yarn_beta_slow";
inline constexpr const char* llama3_factors = "rope_freqs.weight";
inline constexpr const char* long_factors = "rope_factors_long.weight";
inline constexpr const char* short_factors = "rope_factors_short.weight";
}  // namespace gguf_key

/// The same for a GGUF file's metadata, with keys below `<architecture>.`.
class GgufConfigReader {
 public:
  GgufConfigReader(const GgufFile& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  int64_t count(std::string_view key, std::optional<int64_t> fallback = std::nullopt,
                int64_t most = most_count) const;
  double number(std::string_view key, double fallback) const;
  /// `rope.scaling.*`, or the factors of the tensors rope_freqs.weight (Llama 3.1) or
  /// rope_factors_long.weight and rope_factors_short.weight (longrope), in the form of config.json's
  /// `rope_scaling`; null without scaling. Errors: unsupported for other types, and for factors that are not
  /// Llama 3.1's.
  nlohmann::json rope_scaling(int64_t rotary_dim) const;
  /// [layers] `sliding_attention` or `full_attention`, from `attention.sliding_window_pattern`: a list with
  /// true for layers with a window, or the number of layers from one with full attention to the next (`usual`
  /// without the key). Errors: invalid for another kind of value or a list of another length.
  std::vector<std::string> layer_types(int64_t layers, int64_t usual) const;
  /// The number of rows of token_embd.weight. Errors: invalid if there is no such tensor.
  int64_t vocabulary_size() const;

 private:
  /// The factors in a rope scaling tensor, [rotary_dim / 2]; empty if there is none.
  std::vector<float> rope_factors(const char* tensor, int64_t rotary_dim) const;

  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace lowrank
