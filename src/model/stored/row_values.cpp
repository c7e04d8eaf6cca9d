#include "model/stored/row_values.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/empty.h>

#include "formats/block_formats.h"

namespace lowrank {

void copy_values(const StoredTensor& stored, int64_t row, int64_t first, int64_t count, at::ScalarType type,
                 void* out) {
  const auto row_bytes = static_cast<int64_t>(stored.bytes.size()) / stored.shape[0];
  const int64_t row_values = *element_count(stored.shape) / std::max<int64_t>(stored.shape[0], 1);
  const auto source =
      stored.bytes.subspan(row * row_bytes + first * row_bytes / row_values, count * row_bytes / row_values);
  if (type == at::kBFloat16) {
    expand_bf16(stored.dtype, source, {static_cast<uint16_t*>(out), static_cast<size_t>(count)});
  } else if (type == at::kFloat) {
    expand(stored.dtype, source, {static_cast<float*>(out), static_cast<size_t>(count)});
  } else {
    std::vector<float> values(count);
    expand(stored.dtype, source, values);
    std::ranges::copy(values, static_cast<double*>(out));
  }
}

void copy_columns(const StoredTensor& stored, int64_t begin, int64_t end, at::Tensor& out) {
  at::Tensor columns = at::empty({stored.shape[0], end - begin}, out.scalar_type());
  auto* target = static_cast<std::byte*>(columns.mutable_data_ptr());
  const int64_t stride = (end - begin) * static_cast<int64_t>(out.element_size());
  for (int64_t row = 0; row < stored.shape[0]; ++row, target += stride)
    copy_values(stored, row, begin, end - begin, out.scalar_type(), target);
  out.copy_(columns.t());
}

bool same_values(const StoredTensor& a, const StoredTensor& b) {
  if (a.shape != b.shape || !can_expand(a.dtype) || !can_expand(b.dtype)) return false;
  if (a.dtype == b.dtype) return std::ranges::equal(a.bytes, b.bytes);
  const int64_t rows = a.shape.front();
  const int64_t columns = *element_count(a.shape) / std::max<int64_t>(rows, 1);
  std::vector<float> left(columns), right(columns);
  const auto row_of = [&](const StoredTensor& tensor, int64_t row, std::vector<float>& out) {
    const auto size = static_cast<int64_t>(tensor.bytes.size()) / rows;
    expand(tensor.dtype, tensor.bytes.subspan(row * size, size), out);
  };
  for (int64_t row = 0; row < rows; ++row) {
    row_of(a, row, left);
    row_of(b, row, right);
    if (left != right) return false;
  }
  return true;
}

}  // namespace lowrank
