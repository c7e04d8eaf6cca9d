#include "model/stored/stacked_part.h"

#include <cmath>

#include <ATen/ops/empty.h>

#include "model/stored/row_values.h"

namespace lowrank {
namespace {

constexpr float fp4_values[16] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};
constexpr int64_t scaled_values = 32;

/// One row of MXFP4.
void expand_row(const std::byte* bytes, const std::byte* scales, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += 2) {
    const float scale = std::ldexp(1.0F, std::to_integer<int>(scales[i / scaled_values]) - 127);
    const int both = std::to_integer<int>(bytes[i / 2]);
    out[i] = fp4_values[both & 15] * scale;
    out[i + 1] = fp4_values[both >> 4] * scale;
  }
}

}  // namespace

void StackedPart::read(int64_t begin, int64_t end, at::Tensor& out) const {
  const int64_t first = first_row + begin * step, count = (end - begin - 1) * step + 1;
  if (end == begin) return;
  if (!scales.empty()) {
    const int64_t columns = layer.shape[1];
    const at::Tensor rows = at::empty({end - begin, columns}, at::kFloat);
    for (int64_t i = 0; i < end - begin; ++i) {
      const int64_t row = first + i * step;
      expand_row(layer.bytes.data() + row * columns / 2, scales.data() + row * columns / scaled_values,
                 columns, rows.mutable_data_ptr<float>() + i * columns);
    }
    out.copy_(rows);
    return;
  }
  if (layer.shape.size() == 1) {
    at::Tensor values = at::empty({count, 1}, out.scalar_type());
    auto* target = static_cast<std::byte*>(values.mutable_data_ptr());
    for (int64_t i = 0; i < count; ++i, target += values.element_size())
      copy_values(layer, first + i, 0, 1, out.scalar_type(), target);
    out.copy_(values.squeeze(1).slice(0, 0, count, step));
    return;
  }
  at::Tensor rows = at::empty({count, layer.shape[transposed ? 0 : 1]}, out.scalar_type());
  if (transposed) {
    copy_columns(layer, first, first + count, rows);
  } else {
    auto* target = static_cast<std::byte*>(rows.mutable_data_ptr());
    const int64_t stride = rows.size(1) * static_cast<int64_t>(rows.element_size());
    for (int64_t i = 0; i < count; ++i, target += stride)
      copy_values(layer, first + i, 0, rows.size(1), rows.scalar_type(), target);
  }
  out.copy_(rows.slice(0, 0, count, step));
}

}  // namespace lowrank
