#pragma once

#include <functional>
#include <utility>

#include <ATen/core/Tensor.h>

namespace lowrank {

using TensorPair = std::pair<at::Tensor, at::Tensor>;

/// body(a, b), of which only a and b are kept: the backward pass computes it a second time, with a graph, and
/// goes through that (gradient checkpointing, Chen et al. 2016, arXiv 1604.06174). What the body refers to
/// must live until then, and the body must give the same values again. Gradients reach the parameters that
/// the body uses, too. `b` may be undefined. Where neither a nor b needs a gradient the body simply runs.
TensorPair recomputed(const at::Tensor& a, const at::Tensor& b,
                      std::function<TensorPair(const at::Tensor&, const at::Tensor&)> body);

}  // namespace lowrank
