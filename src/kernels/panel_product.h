#pragma once

// What our products of matrices of different types share: operands from tensors, and tasks.

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/cpu/matrix_product.h"

namespace lowrank {

/// True where x [T, k] and w [n, k] lie in memory as panel products read them: x's rows, and w's rows or
/// columns, of adjacent values, w not packed; and where there are rows enough to pay for the layout of a
/// panel.
bool has_panel_layout(const at::Tensor& x, const at::Tensor& w);

/// y [T, n] = x [T, k] times w [n, k] transposed, plus the f32 `bias` [n] where it is defined.
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

/// Calls `task` on all panels of all rows, on several threads: all rows of some panels where the threads get
/// equally many or there are many, else parts of the rows, too.
void for_each_panel_task(int64_t rows, int64_t panels, const PanelTask& task);

}  // namespace lowrank
