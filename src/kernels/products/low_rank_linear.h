#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"
#include "kernels/products/prepared_weight.h"

namespace lowrank {

class FactorStacks;

/// x [T, in] -> [T, out] in x's type: the frozen product with its patches (Hu et al. 2021, arXiv 2106.09685,
/// section 4.1). Without gradients, patches of factors alone go through one kernel for any number of groups
/// of tokens (kernels/products/low_rank_terms.h). With only A and B in the patches, for all tokens, one
/// autograd node computes
///   dx = dy W + sum s (dy_i B_i) A_i,  dA = s (dy_i B_i)^T drop(x),  dB = s dy_i^T (drop(x) A^T),
/// saving x and drop(x) A^T; gradients of A and B are f32. `stacks`: where the passes of a training step keep
/// their stacked factors.
at::Tensor low_rank_linear(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                           const std::optional<at::Tensor>& bias, std::vector<Patch> patches,
                           FactorStacks* stacks = nullptr);

/// The same from plain differentiable operations around the frozen product
/// (kernels/products/patched_product.h).
at::Tensor low_rank_linear_reference(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                                     const std::optional<at::Tensor>& bias,
                                     const std::vector<Patch>& patches);

/// x W^T + b with a weight that trains or is generated, w [out, in]; patches as above.
at::Tensor dense_linear(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias,
                        const std::vector<Patch>& patches);

}  // namespace lowrank
