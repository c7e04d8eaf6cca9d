#include "train/evaluate.h"

#include <cmath>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"

namespace lowrank {

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
    for (const int64_t index : indices) {
      const int64_t targets = examples[index].targets();
      const double row = std::accumulate(next, next + targets, 0.0);
      check(std::isfinite(row), ErrorKind::invalid, "the loss of row {} (line {}) is not finite", index,
            examples[index].line);
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
