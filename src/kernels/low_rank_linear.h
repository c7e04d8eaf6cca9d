#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/packed_weight.h"

namespace lowrank {

/// Inverted dropout whose mask is a function of the seed and the element's index: it is computed again in the
/// backward pass, never stored. p is the share of zeroed elements, the rest is divided by 1 - p.
struct Dropout {
  double p = 0;
  uint64_t seed = 0;
};

/// What a method adds to rows [begin, end) of a product y = W x + b:
///   y = g * (W (l * x) + b) + s B (A drop(x)) + c + f(x), any subset of it; undefined tensors are absent.
/// With `scales_bias` off, y = W x + b + (g - 1) * W drop(x) + ...: g never touches b, nor what dropout
/// takes.
struct Patch {
  at::Tensor in_scale;   ///< l, [in]; applies to the whole product that the rows belong to
  at::Tensor A;          ///< [r, in], f32
  at::Tensor B;          ///< [end - begin, r], f32
  at::Tensor out_scale;  ///< g, [end - begin]
  at::Tensor bias;       ///< c, [end - begin]
  double scale = 1;      ///< s
  int64_t begin = 0, end = 0;
  Dropout dropout;
  bool scales_bias = true;
  /// f: [T, in] -> [T, end - begin], differentiable.
  std::function<at::Tensor(const at::Tensor&)> branch = {};
};

/// x [T, in] -> [T, out] in x's type: the frozen product with its patches (Hu et al. 2021, arXiv 2106.09685,
/// section 4.1). With only A and B in the patches one autograd node computes
///   dx = dy W + sum s (dy_i B_i) A_i,  dA = s (dy_i B_i)^T drop(x),  dB = s dy_i^T (drop(x) A^T),
/// saving x and drop(x) A^T; gradients of A and B are f32.
at::Tensor low_rank_linear(const at::Tensor& x, std::shared_ptr<const PackedWeight> weight,
                           const std::optional<at::Tensor>& bias, std::vector<Patch> patches);

/// The same from plain differentiable operations around the frozen product.
at::Tensor low_rank_linear_reference(const at::Tensor& x, std::shared_ptr<const PackedWeight> weight,
                                     const std::optional<at::Tensor>& bias,
                                     const std::vector<Patch>& patches);

/// x W^T + b with a weight that trains or is generated, w [out, in]; patches as above.
at::Tensor dense_linear(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias,
                        const std::vector<Patch>& patches);

}  // namespace lowrank
