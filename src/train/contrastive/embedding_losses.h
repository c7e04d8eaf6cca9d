#pragma once

#include <span>

#include <ATen/core/Tensor.h>

#include "train/contrastive/contrastive_options.h"
#include "train/contrastive/text_batch.h"

namespace lowrank {

/// A loss of a batch's rows.
struct RowLosses {
  at::Tensor mean;  ///< what the batch minimises, a scalar
  at::Tensor rows;  ///< [R] each row's, whose mean `mean` is (CoSENT, which compares rows: `mean` for each)
};

/// The loss of a batch whose texts have these vectors [S, d], in the order of `groups`; differentiable. As
/// sentence-transformers 6.2 defines them, with c(x, y) the cosine and s the scale:
///   MultipleNegativesRankingLoss: the mean over rows r of -log(exp(s c(a_r, p_r)) / sum_d exp(s c(a_r, d))),
///     with d running over the positives and negatives of all rows of the batch. A positive that several rows
///     have counts as a negative of the others.
///   CosineSimilarityLoss: the mean over rows of (c(x_r, y_r) - score_r)^2.
///   CoSENTLoss: log(1 + sum exp(s (c(x_i, y_i) - c(x_j, y_j)))) over the pairs of rows with score_i <
///   score_j. MatryoshkaLoss: the weighted sum over sizes n of the loss of the first n values of each vector.
RowLosses compared_loss(const at::Tensor& vectors, std::span<const TextGroup> groups,
                        const ContrastiveRun& run);

}  // namespace lowrank
