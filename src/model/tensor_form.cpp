#include "model/tensor_form.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>

namespace lowrank {
namespace {

/// The place in a GGUF file of a value in row (or column) `place` of `count`.
int64_t head_place(int64_t place, int64_t count, const GgufHeads& heads) {
  if (place < heads.first) return place;
  const int64_t size = (count - heads.first) / (heads.groups * heads.shared);
  const int64_t head = (place - heads.first) / size;
  const int64_t moved = head % heads.shared * heads.groups + head / heads.shared;
  return heads.first + moved * size + (place - heads.first) % size;
}

/// `gguf_row` of each one, [rows].
at::Tensor gguf_rows(int64_t rows, const TensorRef& tensor) {
  at::Tensor index = at::empty({rows}, at::kLong);
  auto* values = index.mutable_data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) values[row] = gguf_row(row, rows, tensor);
  return index;
}

/// The same for columns.
at::Tensor gguf_columns(int64_t columns, const TensorRef& tensor) {
  at::Tensor index = at::empty({columns}, at::kLong);
  auto* values = index.mutable_data_ptr<int64_t>();
  for (int64_t column = 0; column < columns; ++column)
    values[column] = head_place(column, columns, tensor.gguf_heads);
  return index;
}

}  // namespace

bool moves_rows(const TensorRef& tensor) {
  return tensor.rotary_heads > 0 || (tensor.gguf_heads.groups > 0 && !tensor.gguf_heads.columns);
}

bool moves_columns(const TensorRef& tensor) {
  return tensor.gguf_heads.groups > 0 && tensor.gguf_heads.columns;
}

int64_t gguf_row(int64_t row, int64_t rows, const TensorRef& tensor) {
  if (tensor.rotary_heads > 0) return rotary_row(row, rows, tensor.rotary_heads);
  return moves_rows(tensor) ? head_place(row, rows, tensor.gguf_heads) : row;
}

at::Tensor in_gguf_row_order(const at::Tensor& values, const TensorRef& tensor) {
  if (!moves_rows(tensor)) return values;
  return at::empty_like(values).index_copy_(0, gguf_rows(values.size(0), tensor), values);
}

at::Tensor from_gguf_row_order(const at::Tensor& values, const TensorRef& tensor) {
  return moves_rows(tensor) ? values.index_select(0, gguf_rows(values.size(0), tensor)) : values;
}

at::Tensor in_gguf_column_order(const at::Tensor& values, const TensorRef& tensor) {
  if (!moves_columns(tensor)) return values;
  return at::empty_like(values).index_copy_(1, gguf_columns(values.size(1), tensor), values);
}

at::Tensor from_gguf_column_order(const at::Tensor& values, const TensorRef& tensor) {
  return moves_columns(tensor) ? values.index_select(1, gguf_columns(values.size(1), tensor)) : values;
}

at::Tensor in_gguf_form(const at::Tensor& values, const TensorRef& tensor) {
  at::Tensor stored = in_gguf_column_order(in_gguf_row_order(values, tensor), tensor);
  if (tensor.gguf_negative_exp) stored = -at::exp(stored);
  return tensor.gguf_offset == 0 ? stored : stored + tensor.gguf_offset;
}

at::Tensor in_folder_layout(const at::Tensor& values, const TensorRef& tensor) {
  if (tensor.depthwise) return values.reshape(folder_shape(tensor));
  return tensor.transposed ? values.t().contiguous() : values;
}

std::vector<int64_t> folder_shape(const TensorRef& tensor) {
  std::vector<int64_t> shape = tensor.shape;
  if (tensor.transposed) std::ranges::reverse(shape);
  if (tensor.depthwise) shape.insert(shape.begin() + 1, 1);
  return shape;
}

int64_t rotary_row(int64_t row, int64_t rows, int64_t heads) {
  const int64_t head_dim = rows / heads;
  const int64_t head = row / head_dim;
  const int64_t within = row % head_dim;
  return head * head_dim + 2 * (within % (head_dim / 2)) + within / (head_dim / 2);
}

bool is_recomputed(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with(".attn.bias") ||
         name.ends_with(".masked_bias") || name.ends_with("embeddings.position_ids") ||
         name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

}  // namespace lowrank
