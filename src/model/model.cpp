#include "model/model.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

namespace lowrank {
namespace {

/// The patches on the head, for all its rows.
std::vector<Patch> head_patches(const Model& model, const Context& context, const Hooks& hooks) {
  std::vector<Patch> patches;
  const Module& module = *model.head().module;
  if (std::optional<Patch> patch = hooks.patch(context, module)) {
    patch->begin = 0;
    patch->end = module.out;
    patches.push_back(std::move(*patch));
  }
  return patches;
}

/// Batch rows as rows of the hidden state, int64 [n].
at::Tensor hidden_rows(const Packed& hidden, std::span<const int64_t> rows) {
  std::vector<int64_t> moved(rows.begin(), rows.end());
  if (!hidden.geometry.batch_rows.empty()) {
    for (int64_t& row : moved) row = hidden.geometry.batch_rows[row];
  }
  return at::tensor(moved, at::kLong);
}

}  // namespace

TargetLoss batch_loss(const Model& model, const Context& context, const Hooks& hooks) {
  const Targets& targets = context.batch->targets;
  const Packed hidden = model.forward(context, hooks, nullptr);
  return target_loss(hidden.stream, hidden_rows(hidden, targets.rows), at::tensor(targets.tokens, at::kLong),
                     at::tensor(targets.weights, at::kFloat), weight_of(model.head(), context, hooks),
                     head_patches(model, context, hooks));
}

at::Tensor batch_logits(const Model& model, const Context& context, const Hooks& hooks,
                        std::span<const int64_t> rows, KvCache* cache) {
  const Packed hidden = model.forward(context, hooks, cache);
  const at::Tensor chosen = hidden.stream.index_select(0, hidden_rows(hidden, rows));
  return head_logits(chosen, weight_of(model.head(), context, hooks), head_patches(model, context, hooks));
}

}  // namespace lowrank
