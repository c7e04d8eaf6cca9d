#include "kernels/products/products.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "base/cpu_features.h"
#include "kernels/core/device.h"
#include "kernels/products/bf16_product.h"
#include "kernels/products/f32_product.h"

namespace lowrank {
namespace {

/// The most of a bf16 matrix that exists in f32 at one time.
constexpr int64_t widened_bytes = 8 << 20;

/// oneDNN's packed products are private operators of libtorch: looked up by name and used only if their
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

/// The product of bf16 operands in f32.
at::Tensor widened_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const int64_t outputs = w.size(0);
  const int64_t row_bytes = std::max<int64_t>(1, w.size(1)) * static_cast<int64_t>(sizeof(float));
  const int64_t step = std::max<int64_t>(1, widened_bytes / row_bytes);
  const at::Tensor wide = x.to(at::kFloat);
  at::Tensor y = at::empty({x.size(0), outputs}, x.options());
  for (int64_t begin = 0; begin < outputs; begin += step) {
    const int64_t count = std::min(step, outputs - begin);
    const auto part = bias ? std::optional(bias->narrow(0, begin, count).to(at::kFloat)) : std::nullopt;
    y.narrow(1, begin, count).copy_(product(wide, w.narrow(0, begin, count).to(at::kFloat), part));
  }
  return y;
}

}  // namespace

bool bf16_is_fast() {
  return cpu_features().avx512_bf16 || cpu_features().amx_bf16;
}

bool can_pack(at::ScalarType type) {
  return onednn().available() && (type == at::kFloat || (type == at::kBFloat16 && bf16_is_fast()));
}

at::Tensor packed_for_products(const at::Tensor& w) {
  return call(*onednn().reorder, {w, c10::IValue()});
}

at::Tensor product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  if (!on_cpu(x)) return bias ? at::addmm(*bias, x, w.t()) : at::mm(x, w.t());
  if (has_bf16_product(x, w)) return bf16_product(x, w, bias);
  if (has_f32_product(x, w)) return f32_product(x, w, bias);
  if (x.scalar_type() == at::kBFloat16 && !bf16_is_fast()) return widened_product(x, w, bias);
  if (x.size(0) > 0 && can_pack(x.scalar_type())) return pointwise(x, w, bias);
  return bias ? at::addmm(*bias, x, w.t()) : at::mm(x, w.t());
}

}  // namespace lowrank
