#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/spec.h"

namespace lowrank {

/// Whether GGUF files have the tensor's rows or columns in another order than folders.
bool moves_rows(const TensorRef& tensor);
bool moves_columns(const TensorRef& tensor);
/// The row of the GGUF tensor that holds row `row` of the Hugging Face tensor's `rows`.
int64_t gguf_row(int64_t row, int64_t rows, const TensorRef& tensor);

/// The row of a GGUF tensor that holds row `row` of the Hugging Face tensor: llama.cpp interleaves the two
/// halves of each rotary head (HF row h*D + i*D/2 + j is stored as row h*D + 2*j + i, i in {0, 1}).
int64_t rotary_row(int64_t row, int64_t rows, int64_t heads);

/// Reorders the rows of `values` [rows, ...] from Hugging Face's order to that of GGUF files for this tensor,
/// and back. Its rows are the tensor's: the weight itself, its bias, or the left factor of a product.
at::Tensor in_gguf_row_order(const at::Tensor& values, const TensorRef& tensor);
at::Tensor from_gguf_row_order(const at::Tensor& values, const TensorRef& tensor);
/// The same for columns: those of the weight itself, or of the right factor of a product.
at::Tensor in_gguf_column_order(const at::Tensor& values, const TensorRef& tensor);
at::Tensor from_gguf_column_order(const at::Tensor& values, const TensorRef& tensor);
/// The values of a whole tensor as a GGUF file stores them: rows and columns in its order, norms with their
/// offset.
at::Tensor in_gguf_form(const at::Tensor& values, const TensorRef& tensor);

/// A matrix {out, in} as a Hugging Face folder stores it, and the shape that it has there.
at::Tensor in_folder_layout(const at::Tensor& values, const TensorRef& tensor);
std::vector<int64_t> folder_shape(const TensorRef& tensor);

/// Whether a tensor of that name, which some exporters write, is computed from the configuration here.
bool is_recomputed(std::string_view name);

}  // namespace lowrank
