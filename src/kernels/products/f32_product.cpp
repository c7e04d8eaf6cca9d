#include "kernels/products/f32_product.h"

#include "kernels/core/node.h"
#include "kernels/products/cpu/f32_product_cpu.h"
#include "kernels/products/panel_product.h"

namespace lowrank {
namespace {

/// Smaller matrices leave most of a panel empty or are not worth its layout.
constexpr int64_t least_size = 32;

}  // namespace

bool has_f32_product(const at::Tensor& x, const at::Tensor& w) {
  if (x.scalar_type() != at::kFloat || w.scalar_type() != at::kFloat) return false;
  return has_panel_layout(x, w) && w.size(0) >= least_size && w.size(1) >= least_size &&
         f32_product_has_vectors_cpu();
}

at::Tensor f32_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const OpScope scope("f32_product", x, w);
  const at::Tensor offsets = bias ? bias->contiguous() : at::Tensor();
  return panel_product<float>(x, w, offsets, f32_panel_columns, f32_product_cpu);
}

}  // namespace lowrank
