#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/tensor_file.h"
#include "model/spec.h"

namespace lowrank {

/// Modules (or tensors without one) of a model that share the end of their name.
struct ModelParts {
  std::string name;  ///< `self_attn.q_proj`
  int64_t count = 0;
};

/// What the default method leaves as it is, for one reason.
struct LeftOut {
  std::vector<ModelParts> parts;
  std::string why;
};

/// What a model is to the program, known from its configuration and the names of its tensors.
struct ModelSummary {
  std::string family;
  std::string method;               ///< the default one
  std::vector<ModelParts> adapted;  ///< modules that it adapts by default
  int64_t trained = 0;              ///< its parameters with the default options
  std::string why_none;             ///< where it adapts nothing
  std::vector<LeftOut> left_out;    ///< everything else in the files

  /// With a list of objects for each list.
  nlohmann::ordered_json to_json() const;
};

/// `tensors`: those of the model's files.
ModelSummary summarise_model(const ModelSpec& spec, const std::vector<StoredTensor>& tensors);

}  // namespace lowrank
