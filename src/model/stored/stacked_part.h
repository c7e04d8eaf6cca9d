#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include "formats/tensor_file.h"

namespace lowrank {

/// The matrix or bias of one expert in a tensor that stacks those of all.
struct StackedPart {
  StoredTensor layer;  ///< what the stack holds of the expert; exactly the part if it `is_plain`
  /// MXFP4 (OCP Microscaling Formats 1.0): 32 values share the scale 2^(s - 127); a layer's bytes hold two
  /// 4-bit values each, the first one low. Empty: other types.
  std::span<const std::byte> scales = {};
  int64_t first_row = 0,
          step = 1;         ///< the part's rows in the layer: the first one, and from each to the next
  bool transposed = false;  ///< the layer is {columns, rows}

  bool is_plain() const { return scales.empty() && step == 1 && !transposed; }

  /// Writes rows (of a bias: values) [begin, end) of the part to `out` [end - begin, ...], f32, f64 or bf16.
  void read(int64_t begin, int64_t end, at::Tensor& out) const;
};

}  // namespace lowrank
