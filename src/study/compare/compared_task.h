#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/examples/example_store.h"
#include "session/training_data.h"
#include "study/compare/comparison_plan.h"
#include "study/compare/questions.h"

namespace lowrank {

/// The rows of a comparison, read once for all runs.
struct ComparedTask {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::optional<Tokenizer> tokenizer;
  TrainingData data;  ///< with the validation rows for evaluation
  std::vector<Questions> questions;
  std::optional<Questions> validation;  ///< the validation rows as questions, where the search is judged by
                                        ///< a metric
  ExampleStore general;                 ///< empty: forgetting is not measured
  std::string fingerprint;              ///< of all rows
  std::string base_fingerprint;         ///< of the model: its configuration and a sample of each tensor

  /// The labels of the model's head; null: none.
  const LabelSet* labels() const { return checkpoint->spec().labels ? &*checkpoint->spec().labels : nullptr; }
};

/// The rows of a benchmark as files in `folder`, no more of them than the options ask for.
PreparedBenchmark prepared_rows(const ComparisonOptions& options, const BenchmarkScoring& scoring,
                                const std::filesystem::path& folder);

/// The labels of prepared rows for the model; nullopt for a causal language model. Errors: as choose_labels.
std::optional<LabelSet> labels_of(const ComparisonOptions& options, const BenchmarkScoring& scoring,
                                  const PreparedBenchmark& prepared);

/// Opens the base and reads all rows. `folder`: for what is written of them. Errors: as open_model,
/// load_training_data and read_questions.
ComparedTask open_task(const ComparisonOptions& options, const ComparisonPlan& plan,
                       const PreparedBenchmark& prepared, const std::filesystem::path& folder);

}  // namespace lowrank
