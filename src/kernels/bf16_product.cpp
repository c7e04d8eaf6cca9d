#include "kernels/bf16_product.h"

#include <algorithm>

#include <ATen/ops/empty.h>

#include "base/cpu_features.h"
#include "kernels/cpu/bf16_product_avx512bf16.h"
#include "kernels/node.h"
#include "kernels/parallel.h"

namespace lowrank {
namespace {

/// Fewer rows do not pay for the layout of a panel.
constexpr int64_t least_rows = 16;
/// Tasks of a thread at least, so that unequal ones even out, as long as they have so many rows.
constexpr int64_t tasks_per_thread = 8, rows_per_task = 96;

const uint16_t* values_of(const at::Tensor& tensor) {
  return static_cast<const uint16_t*>(tensor.const_data_ptr());
}

}  // namespace

bool has_bf16_product(const at::Tensor& x, const at::Tensor& w) {
  if (x.scalar_type() != at::kBFloat16 || w.scalar_type() != at::kBFloat16 || w.is_mkldnn()) return false;
  if (!has_avx512bf16() || cpu_features().amx_bf16) return false;
  const bool adjacent = x.stride(1) == 1 && (w.stride(0) == 1 || w.stride(1) == 1);
  return adjacent && x.size(0) >= least_rows && w.size(0) >= bf16_panel_columns &&
         x.size(1) >= bf16_panel_columns && x.size(1) % 2 == 0;
}

at::Tensor bf16_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const OpScope scope("bf16_product", x, w);
  const int64_t rows = x.size(0), outputs = w.size(0);
  const bool transposed = w.stride(1) != 1;
  at::Tensor y = at::empty({rows, outputs}, x.options());
  const at::Tensor offsets = bias ? bias->to(at::kFloat).contiguous() : at::Tensor();
  const Bf16Product product{values_of(x),
                            x.stride(0),
                            values_of(w),
                            w.stride(transposed ? 1 : 0),
                            transposed,
                            bias ? offsets.const_data_ptr<float>() : nullptr,
                            static_cast<uint16_t*>(y.mutable_data_ptr()),
                            outputs,
                            rows,
                            x.size(1),
                            outputs};
  const int64_t panels = (outputs + bf16_panel_columns - 1) / bf16_panel_columns;
  const int64_t wanted = (tasks_per_thread * thread_count() + panels - 1) / panels;
  const int64_t parts = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, rows / rows_per_task));
  parallel_for(0, panels * parts, 1, [&](int64_t begin, int64_t end) {
    // Panels of one part of the rows follow each other.
    while (begin < end) {
      const int64_t part = begin / panels;
      const int64_t last = std::min(end, (part + 1) * panels);
      bf16_product_avx512bf16(product, rows * part / parts, rows * (part + 1) / parts, begin - part * panels,
                              last - part * panels);
      begin = last;
    }
  });
  return y;
}

}  // namespace lowrank
