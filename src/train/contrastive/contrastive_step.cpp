#include "train/contrastive/contrastive_step.h"

#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>

#include "base/rng.h"
#include "train/contrastive/divided_texts.h"
#include "train/contrastive/embedding_losses.h"
#include "train/contrastive/text_batch.h"

namespace lowrank {
namespace {

/// The vectors of the texts [begin, end) of a batch, part by part. The same texts of the same batch get the
/// same dropout.
class OwnTexts {
 public:
  OwnTexts(const Batch& batch, RowRange texts, uint64_t dropout_seed, const StepPasses& passes,
           const ContrastiveRun& run)
      : parts_(text_parts(batch, texts.begin, texts.end, run.mini_batch_size)),
        first_text_(texts.begin),
        dropout_seed_(dropout_seed),
        passes_(passes),
        run_(run) {
    for (Batch& part : parts_) passes_.hooks.layout(part);
  }

  size_t parts() const { return parts_.size(); }

  at::Tensor vectors(size_t part) const {
    Context context{&parts_[part], true};
    const auto text = static_cast<uint64_t>(first_text_) + part * static_cast<uint64_t>(run_.mini_batch_size);
    context.dropout_seed = derive_seed(dropout_seed_, text);
    context.stacks = passes_.stacks;
    context.recompute = passes_.recompute;
    return text_vectors(passes_.model, context, passes_.hooks, run_.form);
  }

 private:
  std::vector<Batch> parts_;
  int64_t first_text_;
  uint64_t dropout_seed_;
  const StepPasses& passes_;
  const ContrastiveRun& run_;
};

/// The loss of a batch with this number, weighted by `share`.
double backward(const Batch& batch, int64_t number, double share, const StepPasses& passes,
                const ContrastiveRun& run) {
  const RowRange texts = own_texts(batch, passes.ranks);
  const OwnTexts own(batch, texts, derive_seed(passes.dropout_seed, static_cast<uint64_t>(number)), passes,
                     run);
  const bool whole = own.parts() == 1;  // its graph is kept
  std::vector<at::Tensor> computed;
  for (size_t i = 0; i < own.parts(); ++i) {
    const at::AutoGradMode recorded(whole);
    computed.push_back(own.vectors(i));
  }
  const int64_t width = run.form.width(passes.model.spec().hidden_size);
  const at::Tensor given = computed.empty() ? at::empty({0, width}) : at::cat(computed).detach();
  const at::Tensor vectors =
      all_vectors(given, texts, batch.sequences(), passes.ranks).set_requires_grad(true);
  const at::Tensor loss = compared_loss(vectors, text_groups(batch), run).mean;
  loss.backward(at::scalar_tensor(share, loss.options()));
  int64_t begin = texts.begin;
  for (size_t i = 0; i < own.parts(); ++i) {
    const int64_t count = computed[i].size(0);
    (whole ? computed[i] : own.vectors(i)).backward(vectors.grad().narrow(0, begin, count));
    begin += count;
  }
  return loss.item<double>() * share;
}

}  // namespace

double contrastive_backward(std::span<const Batch> batches, const StepPasses& passes,
                            const ContrastiveRun& run) {
  const int64_t count = passes.batches_of_step > 0 ? passes.batches_of_step : std::ssize(batches);
  double loss = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const int64_t number = passes.numbers.empty() ? static_cast<int64_t>(i) : passes.numbers[i];
    loss += backward(batches[i], number, 1 / static_cast<double>(count), passes, run);
  }
  return loss;
}

}  // namespace lowrank
