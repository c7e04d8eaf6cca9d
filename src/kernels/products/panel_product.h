#pragma once

// Shared by our matrix products of different types: operands from tensors, and tasks.

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/products/cpu/matrix_product.h"

namespace lowrank {

/// True if x [T, k] and w [n, k] lie in memory as panel products read them (contiguous rows of x, and rows or
/// columns of w; w not packed) and there are enough rows to be worth laying out panels.
bool has_panel_layout(const at::Tensor& x, const at::Tensor& w);

/// y [T, n] = x [T, k] times w [n, k] transposed, plus the f32 `bias` [n] if it is defined.
template <class T>
MatrixProduct<T> matrix_product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias,
                                const at::Tensor& y) {
  const bool transposed = w.stride(1) != 1;
  MatrixProduct<T> product;
  product.x = static_cast<const T*>(x.const_data_ptr());
  product.x_stride = x.stride(0);
  product.w = static_cast<const T*>(w.const_data_ptr());
  product.w_stride = w.stride(transposed ? 1 : 0);
  product.transposed = transposed;
  product.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  product.y = static_cast<T*>(y.mutable_data_ptr());
  product.y_stride = y.stride(0);
  product.rows = x.size(0);
  product.inner = x.size(1);
  product.outputs = w.size(0);
  return product;
}

/// Rows [first_row, last_row) of the panels [first_panel, last_panel).
using PanelTask =
    std::function<void(int64_t first_row, int64_t last_row, int64_t first_panel, int64_t last_panel)>;

/// Calls `task` for all panels of all rows, on several threads. A task takes all rows of some panels if the
/// threads get equally many panels or there are many; else the rows are split as well.
void for_each_panel_task(int64_t rows, int64_t panels, const PanelTask& task);

/// x [T, k] times w [n, k] transposed, plus the f32 `bias` [n] if it is defined: [T, n] in x's type. Calls
/// kernel(product, first_row, last_row, first_panel, last_panel) for panels of `panel_columns` outputs.
template <class T, class Kernel>
at::Tensor panel_product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias,
                         int64_t panel_columns, const Kernel& kernel) {
  at::Tensor y = x.new_empty({x.size(0), w.size(0)});
  const auto product = matrix_product<T>(x, w, bias, y);
  const int64_t panels = (product.outputs + panel_columns - 1) / panel_columns;
  for_each_panel_task(product.rows, panels, [&](int64_t row, int64_t last_row, int64_t panel, int64_t last) {
    kernel(product, row, last_row, panel, last);
  });
  return y;
}

}  // namespace lowrank
