#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

struct MergeCheckOptions {
  std::string model, adapter, merged;
  std::string probe_data;  ///< rows as `evaluate` takes them; empty: texts that base and adapter sample
  std::string format;
  std::vector<std::string> columns;
};

/// Mean negative log-likelihood a target of the probe's rows (of labels: as `evaluate` has it).
struct ProbeLosses {
  std::string rows;  ///< what they are
  double adapter = 0, merged = 0;
  std::optional<double> base = {};  ///< none where the adapter brings the head

  /// The share of the adapter's gain that is left, 1 for all of it; nothing where there is none.
  std::optional<double> gain_left() const;
};

/// A written model beside base and adapter, all in f32. Logits (of encoders: label scores, or embeddings) are
/// those of a sequence of random ids.
struct MergeComparison {
  double largest_difference = 0;  ///< of merged model and adapter
  double distance = 0;            ///< the same, root mean square
  double effect = 0;              ///< root mean square difference of base and adapter
  double scale = 0;               ///< the adapter's largest logit
  std::optional<ProbeLosses> losses = {};

  /// True unless the merged model is farther from the adapter than the base is, by more than rounding
  /// explains, or a number is not finite.
  bool holds() const;
};

/// Loads the three models in turn. Errors: as open_session, load_dataset and evaluate.
MergeComparison compare_merged(const MergeCheckOptions& options);

}  // namespace lowrank
