#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "base/rng.h"
#include "model/checkpoint.h"

namespace lowrank {

// Initial values of trained rows, taken from the frozen base, which is opened again without its head and with
// its weights left in the file.

/// The rows [n, d] that enter the first layer for these tokens (before positions are added), f32.
at::Tensor embedded_tokens(const Checkpoint& base, const std::vector<int64_t>& tokens);

/// [L, n, d]: those rows, then the hidden states after each layer but the last, for a sequence of these
/// tokens.
at::Tensor layer_inputs(const Checkpoint& base, const std::vector<int64_t>& tokens);

/// `count` ids drawn uniformly from the vocabulary.
std::vector<int64_t> sampled_tokens(int64_t count, int64_t vocabulary, Philox& random);

}  // namespace lowrank
