#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"
#include "kernels/products/prepared_weight.h"

namespace lowrank {

/// x [T, in] -> x (W + U(W))^T for the rows of the patch, or x U(W)^T without `with_weight`: [T, end -
/// begin]. U is computed some rows at a time, forward and again backward:
///   dx = dy (W + U),  dU = dy^T x, which is passed on to the update's parameters.
/// Saves only x.
at::Tensor updated_product(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                           const Patch& patch, bool with_weight);

/// The same with W [out, in] whole and differentiable.
at::Tensor updated_product(const at::Tensor& x, const at::Tensor& w, const Patch& patch, bool with_weight);

}  // namespace lowrank
