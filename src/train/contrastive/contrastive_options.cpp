#include "train/contrastive/contrastive_options.h"

#include <limits>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace {

ComparedLoss loss_of(const std::string& name, bool scored) {
  if (name == "auto")
    return scored ? ComparedLoss::cosine_similarity : ComparedLoss::multiple_negatives_ranking;
  const bool ranking = name == "multiple_negatives_ranking";
  check(ranking != scored, ErrorKind::invalid, "`embedding_loss` {} is for rows of {}", name,
        ranking ? "\"anchor\" and \"positive\"" : "\"sentence1\", \"sentence2\" and \"score\"");
  if (ranking) return ComparedLoss::multiple_negatives_ranking;
  return name == "cosent" ? ComparedLoss::cosent : ComparedLoss::cosine_similarity;
}

std::vector<NestedVectors> nested_of(const ContrastiveOptions& options, int64_t width) {
  const std::vector<double>& weights = options.matryoshka_weights;
  check(weights.empty() || weights.size() == options.matryoshka_dims.size(), ErrorKind::invalid,
        "`matryoshka_weights` has {} values for the {} of `matryoshka_dims`", weights.size(),
        options.matryoshka_dims.size());
  std::vector<NestedVectors> nested;
  for (size_t i = 0; i < options.matryoshka_dims.size(); ++i) {
    const int64_t size = options.matryoshka_dims[i];
    check(size <= width, ErrorKind::invalid,
          "`matryoshka_dims` has {}, but the model's vectors have {} values", size, width);
    nested.push_back({size, weights.empty() ? 1 : weights[i]});
  }
  return nested;
}

}  // namespace

std::vector<Field> ContrastiveOptions::fields() {
  constexpr double any = std::numeric_limits<int32_t>::max();
  return {
      one_of(
          field("embedding_loss", embedding_loss,
                "of rows that train embeddings, as in sentence-transformers: multiple_negatives_ranking for "
                "anchors and positives, cosine_similarity or cosent for scores; auto: the first that fits"),
          {"auto", "multiple_negatives_ranking", "cosine_similarity", "cosent"}),
      limited(
          field("similarity_scale", similarity_scale,
                "factor on cosines in multiple_negatives_ranking and cosent, the inverse of a temperature"),
          1e-6, 1e6),
      limited(
          field("matryoshka_dims", matryoshka_dims,
                "sizes to which embeddings can later be cut: the loss is a sum over them (MatryoshkaLoss)"),
          1, any),
      limited(field("matryoshka_weights", matryoshka_weights, "a weight for each of these losses; empty: 1"),
              0, any),
      limited(field("mini_batch_size", mini_batch_size,
                    "texts that are computed together for embeddings: `batch_size` rows may have many more, "
                    "whose gradients are then cached (as CachedMultipleNegativesRankingLoss does)"),
              1, 1 << 20),
      any_text(field("query_prompt", query_prompt,
                     "what stands in front of each row's first text where embeddings are trained: a text, or "
                     "the name of one of the model's prompts")),
      any_text(field("document_prompt", document_prompt, "the same in front of the other texts"))};
}

ContrastiveRun contrastive_run(const ContrastiveOptions& options, EmbeddingForm form, bool scored,
                               int64_t hidden) {
  ContrastiveRun run;
  run.loss = loss_of(options.embedding_loss, scored);
  run.scale = options.similarity_scale;
  run.nested = nested_of(options, form.width(hidden));
  run.mini_batch_size = options.mini_batch_size;
  run.form = std::move(form);
  return run;
}

}  // namespace lowrank
