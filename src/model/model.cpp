#include "model/model.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "kernels/losses/label_loss.h"
#include "kernels/products/products.h"

namespace lowrank {

at::ScalarType default_compute_type() {
  return bf16_is_fast() ? at::kBFloat16 : at::kFloat;
}

namespace {

/// The patches on the head for these rows of the batch.
std::vector<Patch> head_patches(const Model& model, const Context& context, const Hooks& hooks,
                                std::span<const int64_t> rows) {
  const SequenceLayout layout = layout_of_rows(*context.batch, rows);
  return hooks.patches({context, layout}, *model.head().module);
}

/// The rows of the hidden state that hold these batch rows, int64 [n].
at::Tensor hidden_rows(const HiddenState& hidden, std::span<const int64_t> rows) {
  std::vector<int64_t> moved(rows.begin(), rows.end());
  if (!hidden.layout.batch_rows.empty()) {
    for (int64_t& row : moved) row = hidden.layout.batch_rows[row];
  }
  return indices_for(hidden.stream, moved);
}

/// The last row of each sequence, [S].
std::vector<int64_t> last_rows(const Batch& batch) {
  std::vector<int64_t> rows;
  for (int64_t s = 0; s < batch.sequences(); ++s) rows.push_back(batch.offsets[s + 1] - 1);
  return rows;
}

/// The hidden state of only these rows of the batch, for a caller that reads no others.
HiddenState hidden_state(const Model& model, Context context, const Hooks& hooks, std::vector<int64_t> rows,
                         KvCache* cache) {
  std::ranges::sort(rows);
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  context.read = std::move(rows);
  return model.forward(context, hooks, cache);
}

/// The last hidden states of these rows of the batch, [rows.size(), d].
at::Tensor states(const Model& model, const Context& context, const Hooks& hooks,
                  const std::vector<int64_t>& rows, KvCache* cache) {
  const HiddenState hidden = hidden_state(model, context, hooks, rows, cache);
  return hidden.stream.index_select(0, hidden_rows(hidden, rows));
}

}  // namespace

const Head& Model::head() const {
  fail(ErrorKind::unsupported, "a model of the family {} predicts no next token", spec().family);
}

at::Tensor Model::label_scores(const Context&, const Hooks&, const at::Tensor&) const {
  fail(ErrorKind::unsupported, "a model of the family {} has no label head here", spec().family);
}

TargetLoss batch_loss(const Model& model, const Context& context, const Hooks& hooks, double smoothing) {
  const Targets& targets = context.batch->targets;
  if (model.spec().labels)
    return label_loss(model.spec(), sequence_scores(model, context, hooks), targets, smoothing);
  const HiddenState hidden = hidden_state(model, context, hooks, targets.rows, nullptr);
  const at::Tensor rows = hidden_rows(hidden, targets.rows);
  const at::Tensor ids = indices_for(hidden.stream, targets.tokens);
  const at::Tensor weights = sent_to(at::tensor(targets.weights, at::kFloat), rows.device());
  const std::vector<Patch> patches = head_patches(model, context, hooks, targets.rows);
  const TargetLossForm form{model.head().softcap, smoothing};
  if (const auto& blocks = model.head().blocks)
    return target_loss(hidden.stream, rows, ids, weights, blocks, patches, form);
  return target_loss(hidden.stream, rows, ids, weights, weight_of(model.head(), context, hooks), patches,
                     form);
}

namespace {

/// [S, classes]: 1 where a sequence has the class.
at::Tensor truth_of(const Targets& targets, const at::Tensor& scores) {
  at::Tensor truth = at::zeros(scores.sizes(), at::TensorOptions().dtype(at::kFloat));
  auto* next = truth.mutable_data_ptr<float>();
  for (const std::vector<int64_t>& classes : targets.classes) {
    for (const int64_t one : classes) next[one] = 1;
    next += scores.size(1);
  }
  return sent_to(truth.to(scores.scalar_type()), scores.device());
}

}  // namespace

TargetLoss label_loss(const ModelSpec& spec, const at::Tensor& scores, const Targets& targets,
                      double smoothing) {
  if (spec.labels->several) {
    check(std::ssize(targets.classes) == scores.size(0), ErrorKind::invalid,
          "{} sequences with lists of classes, but {} with scores", targets.classes.size(), scores.size(0));
    return classes_loss(scores, truth_of(targets, scores),
                        sent_to(at::tensor(targets.weights, scores.scalar_type()), scores.device()));
  }
  const at::Tensor values = sent_to(at::tensor(targets.values, scores.scalar_type()), scores.device());
  const at::Tensor weights = sent_to(at::tensor(targets.weights, scores.scalar_type()), scores.device());
  return spec.task == Task::classification ? class_loss(scores, values.to(at::kLong), weights, smoothing)
                                           : value_loss(scores, values, weights);
}

at::Tensor batch_logits(const Model& model, const Context& context, const Hooks& hooks,
                        std::span<const int64_t> rows, KvCache* cache) {
  const at::Tensor chosen = states(model, context, hooks, {rows.begin(), rows.end()}, cache);
  if (const auto& blocks = model.head().blocks)
    return head_logits(chosen, blocks, head_patches(model, context, hooks, rows), model.head().softcap);
  return head_logits(chosen, weight_of(model.head(), context, hooks),
                     head_patches(model, context, hooks, rows), model.head().softcap);
}

at::Tensor sequence_scores(const Model& model, const Context& context, const Hooks& hooks) {
  const Batch& batch = *context.batch;
  if (model.label_pooling() != Pooling::mean)
    return model.label_scores(context, hooks, states(model, context, hooks, first_rows_of(batch), nullptr));
  const HiddenState hidden = model.forward(context, hooks, nullptr);
  std::vector<at::Tensor> means;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    std::vector<int64_t> rows(batch.offsets[s + 1] - batch.offsets[s]);
    std::iota(rows.begin(), rows.end(), batch.offsets[s]);
    means.push_back(hidden.stream.index_select(0, hidden_rows(hidden, rows)).mean(0));
  }
  return model.label_scores(context, hooks, at::stack(means));
}

at::Tensor sequence_embeddings(const Model& model, const Context& context, const Hooks& hooks,
                               Pooling pooling) {
  const Batch& batch = *context.batch;
  const auto wide = [](const at::Tensor& rows) {
    return rows.scalar_type() == at::kDouble ? rows : rows.to(at::kFloat);
  };
  if (pooling == Pooling::first) return wide(states(model, context, hooks, first_rows_of(batch), nullptr));
  if (pooling == Pooling::last) return wide(states(model, context, hooks, last_rows(batch), nullptr));
  const HiddenState hidden = model.forward(context, hooks, nullptr);
  std::vector<at::Tensor> means;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    std::vector<int64_t> rows;
    for (int64_t row = batch.offsets[s]; row < batch.offsets[s + 1]; ++row) {
      if (batch.tokens[row] != virtual_token) rows.push_back(row);
    }
    means.push_back(wide(hidden.stream.index_select(0, hidden_rows(hidden, rows))).mean(0));
  }
  return at::stack(means);
}

}  // namespace lowrank
