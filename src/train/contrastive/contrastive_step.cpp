#include "train/contrastive/contrastive_step.h"

#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scalar_tensor.h>

#include "base/rng.h"
#include "train/contrastive/embedding_losses.h"
#include "train/contrastive/text_batch.h"

namespace lowrank {
namespace {

/// The vectors of a part that has been laid out. The same `number` gives the same dropout.
at::Tensor vectors_of(const Batch& part, int64_t number, const StepPasses& passes,
                      const EmbeddingForm& form) {
  Context context{&part, true};
  context.dropout_seed = derive_seed(passes.dropout_seed, static_cast<uint64_t>(number));
  context.stacks = passes.stacks;
  context.recompute = passes.recompute;
  return text_vectors(passes.model, context, passes.hooks, form);
}

/// `first_part`: number of the batch's first part in the step.
double backward(const Batch& batch, std::vector<Batch>& parts, int64_t first_part, double share,
                const StepPasses& passes, const ContrastiveRun& run) {
  const auto weighted = [&](const at::Tensor& loss) {
    loss.backward(at::scalar_tensor(share, loss.options()));
    return loss.item<double>() * share;
  };
  const std::vector<TextGroup> groups = text_groups(batch);
  if (parts.size() == 1) {
    const at::Tensor vectors = vectors_of(parts.front(), first_part, passes, run.form);
    return weighted(compared_loss(vectors, groups, run).mean);
  }
  std::vector<at::Tensor> computed;
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < parts.size(); ++i)
      computed.push_back(vectors_of(parts[i], first_part + static_cast<int64_t>(i), passes, run.form));
  }
  const at::Tensor vectors = at::cat(computed).detach().set_requires_grad(true);
  const double loss = weighted(compared_loss(vectors, groups, run).mean);
  int64_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t texts = computed[i].size(0);
    vectors_of(parts[i], first_part + static_cast<int64_t>(i), passes, run.form)
        .backward(vectors.grad().narrow(0, begin, texts));
    begin += texts;
  }
  return loss;
}

}  // namespace

double contrastive_backward(std::span<const Batch> batches, const StepPasses& passes,
                            const ContrastiveRun& run) {
  double loss = 0;
  int64_t part = 0;
  for (const Batch& batch : batches) {
    std::vector<Batch> parts = text_parts(batch, run.mini_batch_size);
    for (Batch& one : parts) passes.hooks.layout(one);
    loss += backward(batch, parts, part, 1 / static_cast<double>(batches.size()), passes, run);
    part += std::ssize(parts);
  }
  return loss;
}

}  // namespace lowrank
