#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/examples/example_store.h"
#include "model/model.h"
#include "train/contrastive/contrastive_options.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// How well a model's vectors tell what belongs together.
struct EmbeddingEvaluation {
  std::vector<double> rows;        ///< the loss of each row in its batch
  std::optional<double> accuracy;  ///< pairs: share of anchors whose nearest text is one of their positives
  std::optional<double>
      correlation;  ///< scores: Spearman's, of cosines and scores; 0 if either are all equal
};

/// Losses in batches of `batch_size` rows, in order; and of the vectors of the whole set, for pairs
/// `cosine_accuracy@1` as sentence-transformers' InformationRetrievalEvaluator computes it (the corpus: all
/// positives and negatives of the rows, each once), for scores `spearman_cosine` as its
/// EmbeddingSimilarityEvaluator. Ranks divide the texts of each batch, and all find the same. Errors: invalid
/// for vectors that are not finite; interrupted if one of the ranks was.
EmbeddingEvaluation evaluate_embeddings(const Model& model, const Hooks& hooks, const ExampleStore& examples,
                                        int64_t batch_size, const ContrastiveRun& run,
                                        const std::optional<RankGroup>& ranks = std::nullopt);

}  // namespace lowrank
