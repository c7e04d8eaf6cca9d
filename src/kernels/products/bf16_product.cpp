#include "kernels/products/bf16_product.h"

#include "kernels/core/node.h"
#include "kernels/products/cpu/bf16_product_amx.h"
#include "kernels/products/cpu/bf16_product_avx512bf16.h"
#include "kernels/products/panel_product.h"

namespace lowrank {

bool has_bf16_product(const at::Tensor& x, const at::Tensor& w) {
  if (x.scalar_type() != at::kBFloat16 || w.scalar_type() != at::kBFloat16) return false;
  return has_avx512bf16() && has_panel_layout(x, w) && w.size(0) >= bf16_panel_columns &&
         x.size(1) >= bf16_panel_columns && x.size(1) % 2 == 0;
}

at::Tensor bf16_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const OpScope scope("bf16_product", x, w);
  const at::Tensor offsets = bias ? bias->to(at::kFloat).contiguous() : at::Tensor();
  return panel_product<uint16_t>(x, w, offsets, bf16_panel_columns,
                                 has_amx_bf16() ? bf16_product_amx : bf16_product_avx512bf16);
}

}  // namespace lowrank
