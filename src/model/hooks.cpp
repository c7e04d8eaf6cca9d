#include "model/hooks.h"

#include "base/error.h"
#include "model/embedding.h"

namespace lowrank {

void Hooks::layout(Batch&) const {}

at::Tensor Hooks::embed(const Place&, const Embedding&, at::Tensor rows) const {
  return rows;
}

std::vector<Patch> Hooks::patches(const Place&, const Module&) const {
  return {};
}

at::Tensor Hooks::weight(const Context&, const TensorRef& tensor) const {
  fail(ErrorKind::invalid, "no value for the tensor {}, which the method's plan does not keep frozen",
       tensor.name);
}

std::optional<Prefix> Hooks::prefix(const Place&) const {
  return std::nullopt;
}

at::Tensor Hooks::branch_end(const Place&, const Site&, const at::Tensor&, const at::Tensor& out) const {
  return out;
}

HiddenState Hooks::layer_end(const Place&, HiddenState hidden) const {
  return hidden;
}

}  // namespace lowrank
