#include "train/evaluate.h"

#include <cmath>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"

namespace lowrank {

namespace {

/// Targets of each sequence, which a method's layout may have added to; they stand in the sequences' order.
std::vector<int64_t> targets_of_sequences(const Batch& batch) {
  std::vector<int64_t> counts(batch.sequences());
  size_t next = 0;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    for (; next < batch.targets.rows.size() && batch.targets.rows[next] < batch.offsets[s + 1]; ++next)
      ++counts[s];
  }
  return counts;
}

}  // namespace

double Evaluation::perplexity() const {
  return std::exp(loss);
}

Evaluation evaluate(const Model& model, const Hooks& hooks, std::span<const Example> examples,
                    int64_t batch_size) {
  const at::NoGradGuard no_grad;
  Evaluation result;
  double sum = 0;
  for (int64_t begin = 0; begin < static_cast<int64_t>(examples.size()); begin += batch_size) {
    throw_if_interrupted();
    std::vector<int64_t> indices(std::min(batch_size, static_cast<int64_t>(examples.size()) - begin));
    std::iota(indices.begin(), indices.end(), begin);
    Batch batch = make_batch(examples, indices);
    hooks.layout(batch);
    const TargetLoss loss = batch_loss(model, {&batch}, hooks);
    const at::Tensor nll = loss.nll.to(at::kDouble).contiguous();
    const double* next = nll.const_data_ptr<double>();
    const std::vector<int64_t> counts = targets_of_sequences(batch);
    for (size_t s = 0; s < indices.size(); ++s) {
      const int64_t targets = counts[s];
      const double row = std::accumulate(next, next + targets, 0.0);
      check(std::isfinite(row), ErrorKind::invalid, "the loss of row {} (line {}) is not finite", indices[s],
            examples[indices[s]].line);
      next += targets;
      sum += row;
      result.target_tokens += targets;
      result.rows.push_back(row / static_cast<double>(std::max<int64_t>(1, targets)));
    }
  }
  result.loss = sum / static_cast<double>(std::max<int64_t>(1, result.target_tokens));
  return result;
}

}  // namespace lowrank
