#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// silu(g) * u with silu(g) = g / (1 + exp(-g)) (Shazeer 2020, arXiv 2002.05202): gate_up [T, 2f] = g | u ->
/// [T, f]. One pass forward and one backward.
at::Tensor swiglu(const at::Tensor& gate_up);

/// The same from plain differentiable operations.
at::Tensor swiglu_reference(const at::Tensor& gate_up);

}  // namespace lowrank
