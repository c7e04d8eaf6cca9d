#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

struct Adapter;
struct Model;

struct MergeCheckOptions {
  std::string model, adapter, merged;
  std::string probe_data;  ///< rows as `evaluate` takes them; empty: texts sampled from the adapted model
  std::string format;
  std::vector<std::string> columns;
};

/// Mean negative log-likelihood per target of the probe's examples (for labels: the loss of `evaluate`).
struct ProbeLosses {
  std::string rows;  ///< what they are
  double adapter = 0, merged = 0;
  std::optional<double> base = {};  ///< nullopt if the adapter brings the head

  /// The share of the adapter's gain that is left, 1 for all of it; nullopt if there is no base loss or
  /// hardly any gain.
  std::optional<double> gain_left() const;
};

/// A written model compared with base and adapter, all in f32. Logits (for encoders: label scores or
/// embeddings) are those of a sequence of random ids.
struct MergeComparison {
  double largest_difference = 0;  ///< between merged model and adapter
  double distance = 0;            ///< the same, root mean square
  double effect = 0;              ///< root mean square difference between base and adapter
  double scale = 0;               ///< the adapter's largest absolute logit
  std::optional<ProbeLosses> losses = {};

  /// False if a number is not finite, or if the merged model is farther from the adapter than the base is by
  /// more than rounding explains.
  bool holds() const;
};

/// How far a model's logits are from another's, both in f32, on a sequence of random ids.
struct ModelDifference {
  double largest = 0;   ///< absolute
  double distance = 0;  ///< root mean square
  double size = 0;      ///< root mean square of the first model's logits

  /// The distance as a share of the size; not finite if a logit is not.
  double share() const;
};

/// A model on disk, and an adapter of it or none (an empty path).
struct AdaptedModel {
  std::string model, adapter;
};

/// Loads the two in turn. Errors: as compare_models.
ModelDifference compare_adapted(const AdaptedModel& first, const AdaptedModel& second);

/// The same without adapters. The sequence is as long as both contexts allow, up to 64. Errors: as
/// open_session; invalid for models of different vocabularies.
ModelDifference compare_models(const std::string& first, const std::string& second);

/// The same for two adapters of one loaded model; without a second one, `second` is the model alone.
ModelDifference compare_adapters(const Model& model, const Adapter& first, const Adapter* second);

/// Loads the three models in turn. Errors: as open_session, load_dataset and evaluate.
MergeComparison compare_merged(const MergeCheckOptions& options);

}  // namespace lowrank
