#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"
#include "model/experts.h"
#include "model/gemma4/gemma4_config.h"
#include "model/gemma4/gemma4_heads.h"
#include "model/linear.h"
#include "model/model.h"

namespace lowrank {

/// The weights of one layer of Gemma 4. Parts that the layer lacks are empty.
struct Gemma4LayerParts {
  Linear query_key_value;  ///< the query alone in a layer without its own keys; without values that are keys
  Linear out, up, down, input_gate, input_projection;
  Norm before_attention, after_attention, before_mlp, after_mlp, after_input;
  Gemma4Heads heads;
  double scalar = 1;
  std::optional<Experts> experts;  ///< beside the MLP
  at::Tensor router_scales;        ///< c / sqrt(d), on what the router reads
  Norm before_experts, after_experts, after_dense;
};

/// Reads the parts of the model from its files. What it is made from must outlive it.
class Gemma4Loader {
 public:
  Gemma4Loader(const Checkpoint& checkpoint, const LoadOptions& options, const Gemma4Config& config)
      : checkpoint_(checkpoint), options_(options), config_(config) {}

  /// The norm of that name.
  Norm norm(const std::string& name) const;
  /// One product with the matrices of these parts below `prefix`, one below the other.
  Linear linear(const std::string& prefix, std::initializer_list<const char*> parts) const;
  /// The layer of that number.
  Gemma4LayerParts layer(int64_t number) const;

 private:
  /// Adds the experts and what they need beside them; `prefix` is that of the layer's names.
  void read_experts(Gemma4LayerParts& layer, const std::string& prefix, int64_t number) const;

  const Checkpoint& checkpoint_;
  const LoadOptions& options_;
  const Gemma4Config& config_;
};

}  // namespace lowrank
