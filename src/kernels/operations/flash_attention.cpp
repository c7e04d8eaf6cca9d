#include "kernels/operations/flash_attention.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"

namespace lowrank {

/// Rows of one key source and where they stand among the keys of all runs; undefined: all rows, in order.
struct GatheredRows {
  at::Tensor rows, places;  // int64 [n]
};

struct FlashRuns {
  // What they were worked out for.
  at::Device device = at::kCPU;
  bool causal = true;
  int64_t window = 0;
  std::vector<int64_t> source_rows;

  bool fits = false;                                ///< false: nothing below is set
  at::Tensor query_rows = {};                       // int64 [Q]; undefined: all rows of qkv, in order
  at::Tensor query_offsets = {}, key_offsets = {};  // int32 [runs + 1]
  int64_t longest_queries = 0, longest_keys = 0;
  int64_t keys = 0;
  std::vector<GatheredRows> sources = {};
};

namespace {

constexpr int64_t largest_head = 256, head_step = 8;

/// The keys of a run that some of its queries see, in the order of its key runs.
std::vector<KeyRun> seen_keys(const QueryRun& run, const AttentionPlan& plan, const AttentionShape& shape) {
  std::vector<KeyRun> seen;
  for (int64_t i = run.first_key_run; i < run.first_key_run + run.key_runs; ++i) {
    const KeyRun& key = plan.keys[i];
    const Range range = visible_keys(shape, run.first_position, run.first_position + run.count - 1,
                                     key.first_position, key.count);
    if (range.size() > 0)
      seen.push_back({key.source, key.begin + range.begin, range.size(), key.first_position + range.begin});
  }
  return seen;
}

int64_t end_position(const KeyRun& key) {
  return key.first_position + key.count;
}

/// True if the last of the keys are at the queries' own positions, and no query is before any other key.
bool ends_with_own(const QueryRun& run, std::span<const KeyRun> keys) {
  int64_t own = run.count, end = run.first_position + run.count;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    if (own > 0) {
      if (end_position(*key) != end) return false;
      const int64_t taken = std::min(own, key->count);
      own -= taken;
      end -= taken;
    } else if (end_position(*key) > run.first_position) {
      return false;
    }
  }
  return own == 0;
}

/// True if a window by numbers of keys, counted back from the last one, is the window by positions.
bool window_fits(const QueryRun& run, std::span<const KeyRun> keys, const AttentionShape& shape) {
  const int64_t end = run.first_position + run.count;
  int64_t count = 0;
  bool consecutive = end_position(keys.back()) == end, all_seen = true;
  for (size_t i = 0; i < keys.size(); ++i) {
    consecutive = consecutive && (i == 0 || keys[i].first_position == end_position(keys[i - 1]));
    all_seen = all_seen && keys[i].first_position > end - 1 - shape.window &&
               end_position(keys[i]) <= run.first_position + shape.window;
    count += keys[i].count;
  }
  return consecutive || (all_seen && std::max(count, run.count) <= shape.window);
}

/// Flash attention counts from the end: query i of n sees key j of m if j <= i + m - n, and within a window
/// of that key.
bool run_fits(const QueryRun& run, std::span<const KeyRun> keys, const AttentionShape& shape) {
  if (shape.window > 0 && !window_fits(run, keys, shape)) return false;
  // A single query sees all of the keys that are left of its own.
  return !shape.causal || run.count == 1 || ends_with_own(run, keys);
}

bool all_in_order(std::span<const int64_t> rows, int64_t count) {
  if (std::ssize(rows) != count) return false;
  for (int64_t i = 0; i < count; ++i)
    if (rows[i] != i) return false;
  return true;
}

/// Lists of numbers that travel to a device as one tensor.
class Parcel {
 public:
  /// The list's place among the lists.
  size_t add(std::span<const int64_t> list) {
    lists_.emplace_back(std::ssize(numbers_), std::ssize(list));
    numbers_.insert(numbers_.end(), list.begin(), list.end());
    return lists_.size() - 1;
  }
  void send(at::Device device) { sent_ = sent_to(at::tensor(at::IntArrayRef(numbers_), at::kLong), device); }
  at::Tensor list(size_t index) const { return sent_.narrow(0, lists_[index].first, lists_[index].second); }

 private:
  std::vector<int64_t> numbers_;
  std::vector<std::pair<int64_t, int64_t>> lists_;
  at::Tensor sent_;
};

/// The runs' rows, put behind each other.
struct RowLists {
  std::vector<int64_t> queries, query_offsets{0}, key_offsets{0};
  std::vector<std::vector<int64_t>> keys, places;  ///< by source
  int64_t key_count = 0;

  void add(const QueryRun& run, std::span<const KeyRun> run_keys) {
    for (int64_t i = 0; i < run.count; ++i) queries.push_back(run.begin + i);
    for (const KeyRun& key : run_keys) {
      for (int64_t i = 0; i < key.count; ++i) {
        keys[key.source].push_back(key.begin + i);
        places[key.source].push_back(key_count++);
      }
    }
    query_offsets.push_back(std::ssize(queries));
    key_offsets.push_back(key_count);
  }
};

/// Sends what flash attention must know of them.
void send(const RowLists& lists, FlashRuns& runs) {
  Parcel parcel;
  const size_t query_offsets = parcel.add(lists.query_offsets), key_offsets = parcel.add(lists.key_offsets);
  std::optional<size_t> queries;
  if (!all_in_order(lists.queries, runs.source_rows[0])) queries = parcel.add(lists.queries);
  std::vector<std::optional<size_t>> keys(lists.keys.size());
  for (size_t source = 0; source < lists.keys.size(); ++source) {
    const std::vector<int64_t>& rows = lists.keys[source];
    if (std::ssize(rows) == lists.key_count && all_in_order(rows, runs.source_rows[source])) continue;
    keys[source] = parcel.add(rows);
    parcel.add(lists.places[source]);
  }
  parcel.send(runs.device);
  runs.query_offsets = parcel.list(query_offsets).to(at::kInt);
  runs.key_offsets = parcel.list(key_offsets).to(at::kInt);
  if (queries) runs.query_rows = parcel.list(*queries);
  runs.keys = lists.key_count;
  for (const std::optional<size_t>& rows : keys)
    runs.sources.push_back(rows ? GatheredRows{parcel.list(*rows), parcel.list(*rows + 1)} : GatheredRows{});
}

FlashRuns worked_out(const AttentionPlan& plan, const AttentionShape& shape, at::Device device,
                     std::vector<int64_t> source_rows) {
  FlashRuns runs{.device = device,
                 .causal = shape.causal,
                 .window = shape.window,
                 .source_rows = std::move(source_rows)};
  RowLists lists;
  lists.keys.resize(runs.source_rows.size());
  lists.places.resize(runs.source_rows.size());
  std::vector<QueryRun> queries = plan.queries;
  std::ranges::sort(queries, {}, &QueryRun::begin);
  for (const QueryRun& run : queries) {
    if (run.count == 0) continue;
    const std::vector<KeyRun> keys = seen_keys(run, plan, shape);
    if (keys.empty()) continue;  // its rows are zero, as those of no run
    if (!run_fits(run, keys, shape)) return runs;
    const int64_t before = lists.key_count;
    lists.add(run, keys);
    runs.longest_queries = std::max(runs.longest_queries, run.count);
    runs.longest_keys = std::max(runs.longest_keys, lists.key_count - before);
  }
  runs.fits = !lists.queries.empty();
  if (runs.fits) send(lists, runs);
  return runs;
}

const FlashRuns& runs_of(const AttentionPlan& plan, const AttentionShape& shape, at::Device device,
                         std::vector<int64_t> source_rows) {
  auto& kept = plan.flash.runs;
  for (const auto& one : kept) {
    if (one->device == device && one->causal == shape.causal && one->window == shape.window &&
        one->source_rows == source_rows)
      return *one;
  }
  kept.push_back(std::make_shared<const FlashRuns>(worked_out(plan, shape, device, std::move(source_rows))));
  return *kept.back();
}

/// The rows of all runs' keys (or values), of which `sources` [rows, width] each have some.
at::Tensor gathered(const FlashRuns& runs, std::span<const at::Tensor> sources) {
  at::Tensor all;
  for (size_t i = 0; i < sources.size(); ++i) {
    const GatheredRows& taken = runs.sources[i];
    if (!taken.rows.defined()) return sources[i];
    if (taken.rows.size(0) == 0) continue;
    const at::Tensor rows = at::index_select(sources[i], 0, taken.rows);
    if (rows.size(0) == runs.keys) return rows;  // the only source: its places are in order
    if (!all.defined()) all = at::empty({runs.keys, rows.size(1)}, rows.options());
    all.index_copy_(0, taken.places, rows);
  }
  return all;
}

}  // namespace

std::optional<at::Tensor> flash_attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                          const AttentionPlan& plan, const AttentionShape& shape) {
  const bool type_fits = qkv.scalar_type() == at::kBFloat16 || qkv.scalar_type() == at::kHalf;
  if (!type_fits || shape.softcap > 0 || shape.head_dim > largest_head || shape.head_dim % head_step != 0)
    return std::nullopt;
  std::vector<int64_t> source_rows{qkv.size(0)};
  for (const KeyValue& source : extra) source_rows.push_back(source.k.size(0));
  const FlashRuns& runs = runs_of(plan, shape, qkv.device(), std::move(source_rows));
  if (!runs.fits) return std::nullopt;

  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  const std::vector<at::Tensor> parts = at::split_with_sizes(qkv, {width, kv_width, kv_width}, 1);
  std::vector<at::Tensor> keys{parts[1]}, values{parts[2]};
  for (const KeyValue& source : extra) {
    keys.push_back(source.k);
    values.push_back(source.v);
  }
  const auto by_head = [&](const at::Tensor& rows, int64_t heads) {
    return rows.unflatten(1, {heads, shape.head_dim});
  };
  const at::Tensor q = runs.query_rows.defined() ? at::index_select(parts[0], 0, runs.query_rows) : parts[0];
  std::optional<c10::SymInt> behind, ahead;
  if (shape.window > 0) {
    behind = shape.window - 1;
    ahead = shape.causal ? 0 : shape.window - 1;
  }
  const at::Tensor out =
      std::get<0>(at::_flash_attention_forward_symint(
                      by_head(q, shape.heads), by_head(gathered(runs, keys), shape.kv_heads),
                      by_head(gathered(runs, values), shape.kv_heads), runs.query_offsets, runs.key_offsets,
                      runs.longest_queries, runs.longest_keys, /*dropout_p=*/0, shape.causal,
                      /*return_debug_mask=*/false, shape.scale, behind, ahead))
          .flatten(1);
  if (!runs.query_rows.defined()) return out;
  return at::zeros({qkv.size(0), width}, out.options()).index_copy_(0, runs.query_rows, out);
}

}  // namespace lowrank
