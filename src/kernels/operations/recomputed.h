#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include <ATen/core/Tensor.h>

namespace lowrank {

using TensorPair = std::pair<at::Tensor, at::Tensor>;

/// Tensors of at least so many bytes on the CPU are worth memory of their own, which goes back to the system
/// after use: among the temporary values of layers they would leave gaps that together are as large as they
/// are.
inline constexpr int64_t least_own_memory = 8 << 20;
bool is_large(const at::Tensor& tensor);

/// Which of a body's inputs are copied to memory of their own while they wait, where they are large.
struct KeptApart {
  bool a = false, b = false;
};

/// body(a, b), keeping only a and b: the backward pass computes it again, with a graph, and differentiates
/// that (gradient checkpointing, Chen et al. 2016, arXiv 1604.06174). What the body refers to must live until
/// then, and the body must return the same values again. Gradients also reach the parameters that the body
/// uses. `b` may be undefined. If neither a nor b needs a gradient, the body simply runs. Where `a` is kept
/// apart, memory that has been freed goes back to the system before the body runs again.
TensorPair recomputed(const at::Tensor& a, const at::Tensor& b,
                      std::function<TensorPair(const at::Tensor&, const at::Tensor&)> body,
                      KeptApart apart = {});

}  // namespace lowrank
