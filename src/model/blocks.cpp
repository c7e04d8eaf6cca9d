#include "model/blocks.h"

#include <ATen/ops/index_select.h>

#include "base/error.h"
#include "base/process.h"
#include "kernels/core/device.h"
#include "kernels/operations/attention_sinks.h"
#include "kernels/operations/recomputed.h"

namespace lowrank {
namespace {

/// `plan` with each sequence's prefix run inserted before its own keys.
std::shared_ptr<const AttentionPlan> with_prefix(const AttentionPlan& plan, const std::vector<KeyRun>& runs,
                                                 int32_t source) {
  check(runs.size() == plan.queries.size(), ErrorKind::invalid, "a prefix for {} sequences in a batch of {}",
        runs.size(), plan.queries.size());
  auto wider = std::make_shared<AttentionPlan>();
  for (size_t s = 0; s < plan.queries.size(); ++s) {
    QueryRun query = plan.queries[s];
    const auto own = plan.keys.begin() + query.first_key_run;
    query.first_key_run = static_cast<int64_t>(wider->keys.size());
    KeyRun prefix = runs[s];
    prefix.source = source;
    if (prefix.count > 0) wider->keys.push_back(prefix);
    wider->keys.insert(wider->keys.end(), own, own + query.key_runs);
    query.key_runs += prefix.count > 0 ? 1 : 0;
    wider->queries.push_back(query);
  }
  return wider;
}

/// The rows of the hidden state that hold the batch rows of `Context::read`; empty if those are all.
std::vector<int64_t> rows_read(const Context& context, const SequenceLayout& layout) {
  std::vector<int64_t> rows = context.read;
  if (!layout.batch_rows.empty()) {
    for (int64_t& row : rows) row = layout.batch_rows[row];
  }
  return std::ssize(rows) == layout.rows() ? std::vector<int64_t>{} : rows;
}

}  // namespace

at::Tensor attend(const Place& place, const Hooks& hooks, const at::Tensor& qkv, const AttentionShape& shape,
                  KvCache* cache, const at::Tensor& sinks) {
  std::vector<KeyValue> extra;
  if (cache) extra.push_back(cache->append(place.layer, *place.context.batch, qkv, shape));
  std::shared_ptr<const AttentionPlan> plan = place.layout.plan;
  if (std::optional<Prefix> prefix = hooks.prefix(place)) {
    extra.push_back({prefix->rows.k.to(qkv.scalar_type()), prefix->rows.v.to(qkv.scalar_type())});
    plan = with_prefix(*plan, prefix->runs, static_cast<int32_t>(extra.size()));
  }
  return attention_with_sinks(qkv, extra, plan, shape, sinks);
}

at::Tensor output_rows(const at::Tensor& rows, const SequenceLayout& layout) {
  return layout.output_tokens.empty() ? rows : rows.index_select(0, indices_for(rows, layout.output_tokens));
}

SequenceLayout layout_entering(const Context& context, const SequenceLayout& layout, bool last) {
  SequenceLayout entering = layout;
  if (last) entering.output_tokens = rows_read(context, layout);
  return entering;
}

void return_pieces(const at::Tensor& stream, int layer) {
  constexpr int layers = 6;
  if (layer % layers == layers - 1 && is_large(stream)) return_freed_memory();
}

HiddenState run_layer(const Context& context, const Hooks& hooks, const HiddenState& hidden, int index,
                      bool last, const LayerBody& body) {
  const SequenceLayout layout = layout_entering(context, hidden.layout, last);
  const auto behind = std::make_shared<const SequenceLayout>(layout_after_layer(layout));
  if (context.recompute) return_pieces(hidden.stream, index);
  const auto run = [body, context, index, layout, behind](const at::Tensor& in, const at::Tensor& added) {
    return body({in, added, layout}, {context, layout, index}, {context, *behind, index});
  };
  const auto [stream, branch] = context.recompute
                                    ? recomputed(hidden.stream, hidden.branch, run, {.a = true, .b = true})
                                    : run(hidden.stream, hidden.branch);
  return hooks.layer_end({context, *behind, index}, {stream, branch, *behind});
}

}  // namespace lowrank
