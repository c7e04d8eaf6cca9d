#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Inverted dropout whose mask is a function of the seed and the element's index: it is recomputed in the
/// backward pass, never stored. p is the share of zeroed elements; the rest are divided by 1 - p.
struct Dropout {
  double p = 0;
  uint64_t seed = 0;
};

/// x with inverted dropout, in x's type: element i is kept when its 32-bit draw of Philox4x32-10 (key: the
/// seed, counter: i / 4, lane i mod 4) is at least p 2^32, and then divided by 1 - p. The same seed and index
/// give the same mask, so the backward pass applies it to the gradient.
at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout);

/// The same one value at a time, with the same bits. apply_dropout uses this for f64.
at::Tensor apply_dropout_reference(const at::Tensor& x, const Dropout& dropout);

}  // namespace lowrank
