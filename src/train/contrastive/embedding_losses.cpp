#include "train/contrastive/embedding_losses.h"

#include <limits>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"
#include "model/embeddings/text_vectors.h"

namespace lowrank {
namespace {

/// Where the batch's texts stand among its vectors.
struct TextRows {
  at::Tensor first, second;  ///< int64 [R] the first and the second text of each row
  at::Tensor others;         ///< int64 [N] those that follow
};

TextRows text_rows(std::span<const TextGroup> groups, const at::Tensor& vectors) {
  std::vector<int64_t> first, second, others;
  int64_t next = 0;
  for (const TextGroup& group : groups) {
    first.push_back(next);
    second.push_back(next + 1);
    for (int64_t i = 2; i < group.texts; ++i) others.push_back(next + i);
    next += group.texts;
  }
  return {indices_for(vectors, first), indices_for(vectors, second), indices_for(vectors, others)};
}

at::Tensor scores_of(std::span<const TextGroup> groups, const at::Tensor& like) {
  std::vector<double> scores;
  for (const TextGroup& group : groups) scores.push_back(group.score);
  return sent_to(at::tensor(scores, at::kDouble).to(like.scalar_type()), like.device());
}

RowLosses ranking_loss(const at::Tensor& unit, const TextRows& at, double scale) {
  const at::Tensor candidates = at::cat({at.second, at.others});
  const at::Tensor similarities =
      at::mm(unit.index_select(0, at.first), unit.index_select(0, candidates).t()) * scale;
  const at::Tensor own = similarities.narrow(1, 0, at.first.size(0)).diagonal();
  const at::Tensor rows = at::logsumexp(similarities, {1}) - own;
  return {rows.mean(), rows};
}

/// The cosine of each row's two texts, [R].
at::Tensor cosines(const at::Tensor& unit, const TextRows& at) {
  return (unit.index_select(0, at.first) * unit.index_select(0, at.second)).sum(1);
}

RowLosses cosine_loss(const at::Tensor& cosine, const at::Tensor& scores) {
  const at::Tensor difference = cosine - scores;
  const at::Tensor rows = difference * difference;
  return {rows.mean(), rows};
}

RowLosses cosent_loss(const at::Tensor& cosine, const at::Tensor& scores, double scale) {
  const at::Tensor scaled = cosine * scale;
  const at::Tensor differences = scaled.unsqueeze(1) - scaled.unsqueeze(0);
  const at::Tensor lower = scores.unsqueeze(1) < scores.unsqueeze(0);
  const at::Tensor chosen = differences.masked_select(lower);
  const at::Tensor loss = at::logsumexp(at::cat({at::zeros({1}, cosine.options()), chosen}), {0});
  return {loss, loss.expand({cosine.size(0)})};
}

RowLosses loss_of(const at::Tensor& vectors, std::span<const TextGroup> groups, const TextRows& at,
                  const ContrastiveRun& run) {
  const at::Tensor unit = unit_rows(vectors);
  if (run.loss == ComparedLoss::multiple_negatives_ranking) return ranking_loss(unit, at, run.scale);
  const at::Tensor cosine = cosines(unit, at), scores = scores_of(groups, vectors);
  return run.loss == ComparedLoss::cosent ? cosent_loss(cosine, scores, run.scale)
                                          : cosine_loss(cosine, scores);
}

}  // namespace

RowLosses compared_loss(const at::Tensor& vectors, std::span<const TextGroup> groups,
                        const ContrastiveRun& run) {
  const TextRows at = text_rows(groups, vectors);
  if (run.nested.empty()) return loss_of(vectors, groups, at, run);
  RowLosses sum;
  for (const NestedVectors& nested : run.nested) {
    const RowLosses part = loss_of(vectors.narrow(1, 0, nested.size), groups, at, run);
    sum.mean = sum.mean.defined() ? sum.mean + part.mean * nested.weight : part.mean * nested.weight;
    sum.rows = sum.rows.defined() ? sum.rows + part.rows * nested.weight : part.rows * nested.weight;
  }
  return sum;
}

}  // namespace lowrank
