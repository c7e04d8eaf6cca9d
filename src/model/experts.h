#pragma once

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
/// e that a token uses, y = sum_e p_e D_e(silu(G_e x) * (U_e x)), with biases and another unit between the
/// products where the configuration says so.
struct Experts {
  struct Expert {
    Linear gate_up, down;
  };
  const TensorRef* router = nullptr;
  const Module* router_module = nullptr;
  const TensorRef* router_bias = nullptr;
  /// [experts, d] and [experts], f32 (f64 in f64 models); undefined if they are trained.
  at::Tensor router_value, router_bias_value;
  ExpertsConfig config;
  std::vector<Expert> experts;
};

/// True if an expert's matrix that is stored like this stays in the file, and each product expands it: with
/// `small`, and if `LoadOptions::memory` says nothing, for block formats.
bool stays_in_file(const StoredTensor& stored, const LoadOptions& options);

/// Reads a layer's experts.
Experts load_experts(const Checkpoint& checkpoint, const LoadOptions& options, const ExpertsConfig& config,
                     int64_t layer);

/// x [T, d] -> [T, d] in x's type. The router's probabilities, the weighted sum and their gradients are f32
/// (f64 for f64).
at::Tensor apply(const Experts& experts, const Place& place, const Hooks& hooks, const at::Tensor& x);

}  // namespace lowrank
