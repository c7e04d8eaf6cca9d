#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"
#include "model/embeddings/embedding_form.h"

namespace lowrank {

/// How embeddings are trained: sentence-transformers' losses and what belongs to them.
struct ContrastiveOptions {
  std::string embedding_loss = "auto";
  double similarity_scale = 20;
  std::vector<int64_t> matryoshka_dims;
  std::vector<double> matryoshka_weights;
  int64_t mini_batch_size = 32;
  std::string query_prompt, document_prompt;

  /// Fields that point into this value.
  std::vector<Field> fields();
};

/// A loss of compared texts (train/contrastive/embedding_losses.h).
enum class ComparedLoss { multiple_negatives_ranking, cosine_similarity, cosent };

/// The first `size` values of each vector as a vector of their own, and its loss's weight in the sum.
struct NestedVectors {
  int64_t size = 0;
  double weight = 1;
};

/// What a run on compared texts minimises.
struct ContrastiveRun {
  EmbeddingForm form;
  ComparedLoss loss = ComparedLoss::multiple_negatives_ranking;
  double scale = 20;                       ///< factor on cosines, the inverse of a temperature
  std::vector<NestedVectors> nested = {};  ///< of MatryoshkaLoss; empty: the whole vectors
  int64_t mini_batch_size = 32;            ///< texts that a pass through the model computes together
};

/// The run that the options ask for, on pairs or on scored sentences. `hidden`: the model's hidden size.
/// Errors: invalid for a loss that does not fit the rows, and for dimensions or weights that do not fit the
/// vectors or each other.
ContrastiveRun contrastive_run(const ContrastiveOptions& options, EmbeddingForm form, bool scored,
                               int64_t hidden);

}  // namespace lowrank
