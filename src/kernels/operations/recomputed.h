#pragma once

#include <functional>
#include <utility>

#include <ATen/core/Tensor.h>

namespace lowrank {

using TensorPair = std::pair<at::Tensor, at::Tensor>;

/// body(a, b), keeping only a and b: the backward pass computes it again, with a graph, and differentiates
/// that (gradient checkpointing, Chen et al. 2016, arXiv 1604.06174). What the body refers to must live until
/// then, and the body must return the same values again. Gradients also reach the parameters that the body
/// uses. `b` may be undefined. If neither a nor b needs a gradient, the body simply runs.
TensorPair recomputed(const at::Tensor& a, const at::Tensor& b,
                      std::function<TensorPair(const at::Tensor&, const at::Tensor&)> body);

}  // namespace lowrank
