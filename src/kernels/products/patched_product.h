#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"
#include "kernels/products/prepared_weight.h"

namespace lowrank {

/// W of a patched product as the formula sees it: x -> x W[begin:end]^T, differentiable in x (and in W if it
/// trains).
struct ProductRows {
  int64_t out = 0;
  std::function<at::Tensor(const at::Tensor& x, int64_t begin, int64_t end)> product;
  /// x (W + U(W))[begin:end]^T, or x U(W)[begin:end]^T without `with_weight`; [begin, end) are the patch's
  /// rows.
  std::function<at::Tensor(const at::Tensor& x, const Patch& patch, bool with_weight)> updated;
};

/// x [T, in] -> [T, out] in x's type: W x + b with all patches, as kernels/products/patch.h says, from plain
/// differentiable operations. `bias` [out] may be undefined. Products are computed for the rows and tokens
/// that need them: those that a patch maps or updates have their own. Errors: unsupported if a patch that
/// does more than add shares a row and a token with another.
at::Tensor patched_product(const at::Tensor& x, const ProductRows& w, const at::Tensor& bias,
                           const std::vector<Patch>& patches);

/// The formula of one module's patches on whole tensors, for merging: the weight [out, in] and the bias [out]
/// with which W' x + b' equals the patched product for every token. Dropout is ignored. Errors: unsupported
/// for a branch that is not linear.
at::Tensor patched_weight(const at::Tensor& weight, const std::vector<Patch>& patches);
at::Tensor patched_bias(const at::Tensor& bias, const std::vector<Patch>& patches);

/// The factors' type in products with an input of x's type: f32, or f64 for f64.
at::ScalarType factor_type(const at::Tensor& x);

}  // namespace lowrank
