#pragma once

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The function on the gate of a gated linear unit: silu(g) = g / (1 + exp(-g)), GELU, g (1 + erf(g / sqrt
/// 2)) / 2, or its tanh form, g (1 + tanh(sqrt(2/pi) (g + 0.044715 g^3))) / 2 (Hendrycks and Gimpel 2016,
/// arXiv 1606.08415).
enum class Gate { silu, gelu_tanh, gelu };

/// gate(g) * u (Shazeer 2020, arXiv 2002.05202; SwiGLU and GeGLU): gate_up [T, 2f] = g | u -> [T, f]. One
/// pass forward and one backward.
at::Tensor glu(const at::Tensor& gate_up, Gate gate);

/// The same from plain differentiable operations.
at::Tensor glu_reference(const at::Tensor& gate_up, Gate gate);

}  // namespace lowrank
