#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/tasks/row_tasks.h"

namespace lowrank {

/// gate(g) * u (Shazeer 2020, arXiv 2002.05202; SwiGLU and GeGLU): gate_up [T, 2f] = g | u -> [T, f]. One
/// pass forward and one backward.
at::Tensor glu(const at::Tensor& gate_up, Gate gate);

/// The same from plain differentiable operations.
at::Tensor glu_reference(const at::Tensor& gate_up, Gate gate);

}  // namespace lowrank
