#include "model/hooks.h"

#include "base/error.h"
#include "model/embedding.h"

namespace lowrank {

void Hooks::layout(Batch&) const {}

at::Tensor Hooks::embed(const Context&, const Embedding&, at::Tensor rows) const {
  return rows;
}

std::optional<Patch> Hooks::patch(const Context&, const Module&) const {
  return std::nullopt;
}

at::Tensor Hooks::linear(const Context&, const Linear&, const at::Tensor& x, const Next& next) const {
  return next(x);
}

at::Tensor Hooks::weight(const Context&, const TensorRef& tensor) const {
  fail(ErrorKind::invalid, "no value for the tensor {}, which the method's plan does not keep frozen",
       tensor.name);
}

std::optional<Prefix> Hooks::prefix(const Context&, int) const {
  return std::nullopt;
}

at::Tensor Hooks::branch_end(const Context&, const Site&, const at::Tensor&, const at::Tensor& out) const {
  return out;
}

Packed Hooks::layer_end(const Context&, int, Packed hidden) const {
  return hidden;
}

}  // namespace lowrank
