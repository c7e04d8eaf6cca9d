#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "model/experts.h"
#include "model/model.h"
#include "peft/bank/inference_hooks.h"
#include "train/contrastive/embedding_evaluation.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

struct Evaluation {
  double loss = 0;  ///< mean negative log-likelihood over all targets (regression: mean squared error)
  int64_t target_tokens = 0;
  std::vector<double> rows;        ///< the same per example
  std::optional<double> accuracy;  ///< classification: share of examples whose highest score is the label's,
                                   ///< or whose classes with a score above 0 are exactly the labels
  std::optional<double> f1;        ///< several classes per example: F1 over all classes together
  std::optional<double> correlation;  ///< regression: Pearson correlation of scores and labels
  std::optional<EmbeddingEvaluation> embeddings = {};  ///< of compared texts
  std::optional<ExpertBalance> experts = {};           ///< mixtures of experts

  double perplexity() const;  ///< e^loss: infinite for a loss above 709
  /// The task's figures by name: loss, then perplexity (if finite) and target_tokens and, with
  /// experts, busiest_expert (a multiple of an even share) and unused_experts; or accuracy, or correlation,
  /// or for compared texts cosine_accuracy@1 or spearman_cosine.
  nlohmann::ordered_json figures() const;
  /// The same for messages: "loss 2.9470, perplexity 19.05, target_tokens 812".
  std::string summary() const;
};

/// Losses of the examples in order, without gradients. A batch has at most `batch_size` examples. Of several
/// ranks each computes every N-th batch, and all get the same result, bit for bit that of one process.
/// Errors: invalid when a loss is not finite; interrupted, on all ranks if on one.
Evaluation evaluate(const Model& model, const InferenceHooks& hooks, const ExampleStore& examples,
                    int64_t batch_size, const std::optional<RankGroup>& ranks = {});

/// The same of compared texts, in batches of `batch_size` rows. Errors: as evaluate_embeddings.
Evaluation evaluate(const Model& model, const InferenceHooks& hooks, const ExampleStore& examples,
                    int64_t batch_size, const ContrastiveRun& run,
                    const std::optional<RankGroup>& ranks = {});

}  // namespace lowrank
