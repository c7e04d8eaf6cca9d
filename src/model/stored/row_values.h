#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "formats/tensor_file.h"

namespace lowrank {

/// Writes values [first, first + count) of a stored row to `out` in `type`: f32, f64 or bf16 (rounded once,
/// to nearest even). Of block formats whole blocks only.
void copy_values(const StoredTensor& stored, int64_t row, int64_t first, int64_t count, at::ScalarType type,
                 void* out);

/// Writes columns [begin, end) of a stored matrix {rows, columns} to the rows of `out` [end - begin, rows].
void copy_columns(const StoredTensor& stored, int64_t begin, int64_t end, at::Tensor& out);

/// Whether two stored matrices have the same values; compares row by row. False for types that are not
/// expanded.
bool same_values(const StoredTensor& a, const StoredTensor& b);

}  // namespace lowrank
