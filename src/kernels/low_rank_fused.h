#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/low_rank_linear.h"

namespace lowrank {

/// What a node of a patched product differentiates: x, then A and B of each patch; empty where gradients are
/// off or none of them needs one.
std::vector<at::Tensor> differentiated_inputs(const at::Tensor& x, const std::vector<Patch>& patches);

/// True where `low_rank_fused` computes these patches: only A and B, no dropout, f32 or bf16, and ranks whose
/// sum is small.
bool fits_low_rank_fused(const at::Tensor& x, const std::vector<Patch>& patches);

/// low_rank_linear of patches that fit, x [T, in] -> [T, out]: beside the frozen product and its input
/// gradient, all that the factors need is one pass over the rows forward and one backward
/// (kernels/cpu/low_rank_cpu.h). Saves x and x A^T.
at::Tensor low_rank_fused(const at::Tensor& x, std::shared_ptr<const PackedWeight> weight,
                          const std::optional<at::Tensor>& bias, std::vector<Patch> patches);

}  // namespace lowrank
