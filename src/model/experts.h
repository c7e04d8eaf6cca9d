#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/decoder_config.h"
#include "model/hooks.h"
#include "model/linear.h"
#include "model/spec.h"

namespace lowrank {

class Checkpoint;
struct LoadOptions;

/// What takes the place of a layer's MLP in a mixture of experts: with p the router's weights of the experts
/// e that a token uses, and c_e = 1 or a stored factor,
///   y = sum_e p_e c_e D_e(silu(G_e x) * (U_e x)) (+ sigmoid(w x) D(silu(G x) * (U x)) of a shared expert),
/// with biases and another unit between the products where the configuration says so.
struct Experts {
  struct Expert {
    Linear gate_up, down;
  };
  const TensorRef* router = nullptr;
  const Module* router_module = nullptr;
  const TensorRef* router_bias = nullptr;
  /// [experts, d] and [experts], f32 (f64 in f64 models); undefined if they are trained.
  at::Tensor router_value, router_bias_value;
  at::Tensor scales;  ///< the factors c_e, [experts]; undefined: 1
  ExpertsConfig config;
  std::vector<Expert> experts;
  std::optional<Expert> shared;  ///< an expert that all tokens use
  Linear shared_weight;          ///< w, {1, d}
};

/// What experts were used for: of each layer that has experts, how many tokens used each one.
struct ExpertLoads {
  std::map<int, std::vector<int64_t>> tokens;
};

/// How evenly tokens are spread over experts.
struct ExpertBalance {
  double busiest = 0;   ///< what the busiest expert of a layer gets, as a multiple of an even share
  int layer = 0;        ///< that expert's
  int64_t unused = 0;   ///< experts that no token used, of all layers
  int64_t experts = 0;  ///< of all layers
};

/// The balance of loads; nullopt where there are none.
std::optional<ExpertBalance> balance_of(const ExpertLoads& loads);

/// True if an expert's matrix that is stored like this stays in the file, and each product expands it: with
/// `small`, and if `LoadOptions::memory` says nothing, for block formats.
bool stays_in_file(const StoredTensor& stored, const LoadOptions& options);

/// Reads a layer's experts.
Experts load_experts(const Checkpoint& checkpoint, const LoadOptions& options, const ExpertsConfig& config,
                     int64_t layer);

/// x [T, d] -> [T, d] in x's type. The router's probabilities, the weighted sum and their gradients are f32
/// (f64 for f64). `read`: what the router reads, [T, d], where that is not x.
at::Tensor apply(const Experts& experts, const Place& place, const Hooks& hooks, const at::Tensor& x,
                 const at::Tensor& read = {});

}  // namespace lowrank
