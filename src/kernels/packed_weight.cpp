#include "kernels/packed_weight.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "base/error.h"

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

at::Tensor reorder(const at::Tensor& w) {
  return call(*onednn().reorder, {w, c10::IValue()});
}

at::Tensor pointwise(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& bias) {
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return call(*onednn().pointwise, {x, packed, bias ? c10::IValue(*bias) : c10::IValue(), "none",
                                    c10::IValue(no_scalars), c10::IValue("")});
}

}  // namespace

PackedWeight PackedWeight::pack(const at::Tensor& w, at::ScalarType compute, BaseMemory memory,
                                bool for_training) {
  const at::NoGradGuard no_grad;
  PackedWeight packed;
  packed.out_ = w.size(0);
  packed.in_ = w.size(1);
  packed.type_ = compute;
  const at::Tensor rows = w.to(compute).contiguous();
  if (compute == at::kDouble || memory == BaseMemory::one || !onednn().available()) {
    packed.rows_ = rows;
    return packed;
  }
  packed.forward_ = reorder(rows);
  if (for_training) packed.back_ = reorder(rows.t().contiguous());
  return packed;
}

at::Tensor PackedWeight::forward(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
  if (x.size(0) == 0) return at::mm(x, x.new_empty({in_, out_}));
  if (forward_.defined()) return pointwise(x, forward_, bias);
  return bias ? at::addmm(*bias, x, rows_.t()) : at::mm(x, rows_.t());
}

at::Tensor PackedWeight::input_gradient(const at::Tensor& dy) const {
  if (dy.size(0) == 0) return at::mm(dy, dy.new_empty({out_, in_}));
  if (back_.defined()) return pointwise(dy, back_, std::nullopt);
  check(rows_.defined(), ErrorKind::invalid, "this weight was packed without its input gradient");
  return at::mm(dy, rows_);
}

int64_t PackedWeight::bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& copy : {rows_, forward_, back_}) {
    if (copy.defined()) bytes += out_ * in_ * static_cast<int64_t>(c10::elementSize(type_));
  }
  return bytes;
}

bool bf16_is_fast() {
  return __builtin_cpu_supports("avx512bf16") != 0;
}

}  // namespace lowrank
