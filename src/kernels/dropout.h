#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/low_rank_linear.h"

namespace lowrank {

/// x with inverted dropout, in x's type: element i is kept when its 32-bit draw of Philox4x32-10 (key: the
/// seed, counter: i / 4, lane i mod 4) is at least p 2^32, and then divided by 1 - p. The same seed and index
/// give the same mask, so the backward pass applies it to the gradient.
at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout);

/// The same one value at a time, with the same bits. apply_dropout uses this for f64.
at::Tensor apply_dropout_reference(const at::Tensor& x, const Dropout& dropout);

}  // namespace lowrank
