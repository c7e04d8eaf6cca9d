#include "kernels/f32_product.h"

#include <ATen/ops/empty.h>

#include "kernels/cpu/f32_product_cpu.h"
#include "kernels/node.h"
#include "kernels/panel_product.h"

namespace lowrank {
namespace {

/// Smaller matrices leave most of a panel empty, or do not pay for its layout.
constexpr int64_t least_size = 32;

}  // namespace

bool has_f32_product(const at::Tensor& x, const at::Tensor& w) {
  if (x.scalar_type() != at::kFloat || w.scalar_type() != at::kFloat) return false;
  return has_panel_layout(x, w) && w.size(0) >= least_size && w.size(1) >= least_size &&
         f32_product_has_vectors_cpu();
}

at::Tensor f32_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const OpScope scope("f32_product", x, w);
  at::Tensor y = at::empty({x.size(0), w.size(0)}, x.options());
  const at::Tensor offsets = bias ? bias->contiguous() : at::Tensor();
  const auto product = matrix_product<float>(x, w, offsets, y);
  const int64_t panels = (product.outputs + f32_panel_columns - 1) / f32_panel_columns;
  for_each_panel_task(product.rows, panels, [&](int64_t row, int64_t last_row, int64_t panel, int64_t last) {
    f32_product_cpu(product, row, last_row, panel, last);
  });
  return y;
}

}  // namespace lowrank
