#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lowrank {

/// Head h reads key head h / (heads / kv_heads). A key at position p is visible to a query at position t iff
/// (!causal || p <= t) && (window == 0 || |t - p| < window).
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double scale = 1;  ///< factor of q·k before the softmax
  bool causal = true;
  int64_t window = 0;  ///< 0: no window
  double softcap = 0;  ///< c > 0: the softmax sees c tanh(s / c) of each score s = scale q·k; 0: s itself
};

/// Rows [begin, begin+count) of one key source, at consecutive positions. Source 0 is qkv itself, i > 0 is
/// extra[i-1].
struct KeyRun {
  int32_t source = 0;
  int64_t begin = 0, count = 0, first_position = 0;
};

/// Rows [begin, begin+count) of qkv, at consecutive positions, and their slice of AttentionPlan::keys.
struct QueryRun {
  int64_t begin = 0, count = 0, first_position = 0;
  int64_t first_key_run = 0, key_runs = 0;
};

/// What flash attention has sent to a device of a plan's runs, for each kind of layer.
struct FlashRuns;

/// Filled by `flash_attention`. A copy of a plan may be changed, so it begins empty.
struct KeptFlashRuns {
  KeptFlashRuns() = default;
  KeptFlashRuns(const KeptFlashRuns&) {}
  KeptFlashRuns& operator=(const KeptFlashRuns&) {
    runs.clear();
    return *this;
  }
  mutable std::vector<std::shared_ptr<const FlashRuns>> runs;
};

/// Who attends to whom; built once per micro-batch and shared by all layers. Query runs do not overlap;
/// a key run may serve many of them. Not changed once it is used; used by one thread at a time.
struct AttentionPlan {
  std::vector<QueryRun> queries;
  std::vector<KeyRun> keys;
  KeptFlashRuns flash{};
};

/// Each sequence sees its own rows. offsets [S+1]: first row of each sequence, then T; never decreasing.
AttentionPlan packed_plan(std::span<const int64_t> offsets);

/// Errors: invalid unless every run lies inside its rows (source_rows[i]: rows of key source i; [0] those of
/// qkv) and the rules of AttentionPlan and AttentionShape hold.
void check_plan(const AttentionPlan& plan, const AttentionShape& shape, std::span<const int64_t> source_rows);

/// Indices [begin, end).
struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// The range of the `count` keys at positions key_position, key_position+1, … that some query at positions
/// [first, last] sees.
inline Range visible_keys(const AttentionShape& shape, int64_t first, int64_t last, int64_t key_position,
                          int64_t count) {
  const auto clamp = [count](int64_t i) { return i < 0 ? 0 : i > count ? count : i; };
  const int64_t end = shape.causal       ? clamp(last - key_position + 1)
                      : shape.window > 0 ? clamp(last + shape.window - key_position)
                                         : count;
  const int64_t begin = shape.window > 0 ? clamp(first - shape.window + 1 - key_position) : 0;
  return {begin < end ? begin : end, end};
}

/// The range of the `count` queries at positions query_position, … that see some key at positions [first,
/// last].
inline Range seeing_queries(const AttentionShape& shape, int64_t first, int64_t last, int64_t query_position,
                            int64_t count) {
  const auto clamp = [count](int64_t i) { return i < 0 ? 0 : i > count ? count : i; };
  const int64_t begin = shape.causal       ? clamp(first - query_position)
                        : shape.window > 0 ? clamp(first - shape.window + 1 - query_position)
                                           : 0;
  const int64_t end = shape.window > 0 ? clamp(last + shape.window - query_position) : count;
  return {begin < end ? begin : end, end};
}

}  // namespace lowrank
