#include "kernels/packed_weight.h"

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "kernels/products.h"

namespace lowrank {
PackedWeight PackedWeight::pack(const at::Tensor& w, at::ScalarType compute, BaseMemory memory,
                                bool for_training) {
  const at::NoGradGuard no_grad;
  PackedWeight packed;
  packed.out_ = w.size(0);
  packed.in_ = w.size(1);
  packed.type_ = compute;
  const at::Tensor rows = w.to(compute).contiguous();
  if (compute == at::kDouble || memory == BaseMemory::one || !can_pack()) {
    packed.rows_ = rows;
    return packed;
  }
  packed.forward_ = packed_for_products(rows);
  if (for_training) packed.back_ = packed_for_products(rows.t().contiguous());
  return packed;
}

at::Tensor PackedWeight::forward(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
  if (x.size(0) == 0) return x.new_empty({0, out_});
  return product(x, forward_.defined() ? forward_ : rows_, bias);
}

at::Tensor PackedWeight::input_gradient(const at::Tensor& dy) const {
  if (dy.size(0) == 0) return dy.new_empty({0, in_});
  if (back_.defined()) return product(dy, back_);
  check(rows_.defined(), ErrorKind::invalid, "this weight was packed without its input gradient");
  return product(dy, rows_.t());
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
