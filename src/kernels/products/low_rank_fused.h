#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/products/factor_stacks.h"
#include "kernels/products/low_rank_linear.h"

namespace lowrank {

/// The inputs that a patched product's node differentiates: x, then A and B of each patch; empty if gradients
/// are off or none of them needs one.
std::vector<at::Tensor> differentiated_inputs(const at::Tensor& x, const std::vector<Patch>& patches);

/// True if `low_rank_fused` can compute these patches: only A and B, no dropout, f32 or bf16; those for the
/// same tokens have a small sum of ranks, and share no token with others.
bool fits_low_rank_fused(const at::Tensor& x, const std::vector<Patch>& patches);

/// low_rank_linear for patches that fit, x [T, in] -> [T, out]: besides the frozen product and its input
/// gradient, the factors need only one pass over the rows forward and one backward
/// (kernels/products/cpu/low_rank_cpu.h); the frozen product is one for all tokens, whatever patches they
/// have. Saves x and x A^T. `stacks`: of the training step; may be null.
at::Tensor low_rank_fused(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                          const std::optional<at::Tensor>& bias, std::vector<Patch> patches,
                          FactorStacks* stacks);

}  // namespace lowrank
