#include "kernels/products.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

namespace lowrank {
namespace {

/// oneDNN's packed products are private operators of libtorch: looked up by name and used only where their
/// signatures are the known ones.
struct OneDnn {
  std::optional<c10::OperatorHandle> reorder, pointwise;

  bool available() const { return reorder && pointwise; }
};

const OneDnn& onednn() {
  static const OneDnn handles = [] {
    const auto find = [](const char* name, const char* schema) -> std::optional<c10::OperatorHandle> {
      const auto handle = c10::Dispatcher::singleton().findSchema({name, ""});
      if (!handle || !handle->hasSchema()) return std::nullopt;
      std::string found = toString(handle->schema());
      return found == schema ? handle : std::nullopt;
    };
    OneDnn found;
    found.reorder = find("mkldnn::_reorder_linear_weight",
                         "mkldnn::_reorder_linear_weight(Tensor self, int? batch_size=None) -> Tensor Y");
    found.pointwise =
        find("mkldnn::_linear_pointwise",
             "mkldnn::_linear_pointwise(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? "
             "algorithm) -> Tensor Y");
    return found;
  }();
  return handles;
}

at::Tensor call(const c10::OperatorHandle& op, torch::jit::Stack stack) {
  op.callBoxed(&stack);
  return stack.front().toTensor();
}

at::Tensor pointwise(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& bias) {
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return call(*onednn().pointwise, {x, packed, bias ? c10::IValue(*bias) : c10::IValue(), "none",
                                    c10::IValue(no_scalars), c10::IValue("")});
}

}  // namespace

bool can_pack() {
  return onednn().available();
}

at::Tensor packed_for_products(const at::Tensor& w) {
  return call(*onednn().reorder, {w, c10::IValue()});
}

at::Tensor product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const bool known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  if (known && x.size(0) > 0 && onednn().available()) return pointwise(x, w, bias);
  return bias ? at::addmm(*bias, x, w.t()) : at::mm(x, w.t());
}

}  // namespace lowrank
