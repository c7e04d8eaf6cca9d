#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "peft/core/trained_tensors.h"

namespace lowrank {

/// The label head that trains with an AdapterHub adapter. The library keeps heads in separate files,
/// head_config.json and model_head.safetensors, under the base model's names; an adapter without them leaves
/// the base model's head as it is.
class AdapterHubHead {
 public:
  /// Adds the tensors of the model's label head, if it has one and `trains`.
  void plan(const ModelSpec& spec, bool trains, TrainPlan& plan);
  void bind(const ParameterSet& parameters);
  void initialise(const Checkpoint& base, uint64_t seed) const { tensors_.initialise(base, seed); }

  /// The head's tensors, which are trained in full.
  const TrainedTensors& saved() const { return tensors_; }

  /// The tensors of `planned` without the head's.
  std::vector<FileTensor> without(std::vector<FileTensor> planned) const;
  /// Writes its two files, if it trains. Errors: io; invalid when a value is not finite.
  void save(const std::filesystem::path& folder, const std::string& base) const;

 private:
  TrainedTensors tensors_;
  std::vector<FileTensor> values_;
  nlohmann::json config_;
};

}  // namespace lowrank
