#include "model/blocks.h"

#include "base/error.h"
#include "kernels/recomputed.h"

namespace lowrank {
namespace {

/// `plan` with each sequence's prefix run before its own keys.
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
    wider->keys.push_back(prefix);
    wider->keys.insert(wider->keys.end(), own, own + query.key_runs);
    query.key_runs += 1;
    wider->queries.push_back(query);
  }
  return wider;
}

}  // namespace

at::Tensor attend(const Context& context, const Hooks& hooks, int layer, const at::Tensor& qkv,
                  const Geometry& geometry, const AttentionShape& shape, KvCache* cache) {
  std::vector<KeyValue> extra;
  if (cache) extra.push_back(cache->append(layer, *context.batch, qkv, shape));
  std::shared_ptr<const AttentionPlan> plan = geometry.plan;
  if (std::optional<Prefix> prefix = hooks.prefix(context, layer)) {
    extra.push_back({prefix->rows.k.to(qkv.scalar_type()), prefix->rows.v.to(qkv.scalar_type())});
    plan = with_prefix(*plan, prefix->runs, static_cast<int32_t>(extra.size()));
  }
  return attention(qkv, extra, plan, shape);
}

Packed run_layer(const Context& context, const Packed& hidden,
                 const std::function<Packed(const Packed&)>& layer) {
  if (!context.recompute) return layer(hidden);
  const auto [stream, branch] =
      recomputed(hidden.stream, hidden.branch,
                 [layer, geometry = hidden.geometry](const at::Tensor& in, const at::Tensor& added) {
                   const Packed out = layer({in, added, geometry});
                   return TensorPair(out.stream, out.branch);
                 });
  return {stream, branch, hidden.geometry};
}

}  // namespace lowrank
