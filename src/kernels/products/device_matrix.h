#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/blocks/block_matrix.h"
#include "kernels/products/nf4.h"

namespace lowrank {

/// A frozen matrix [out, in] whose rows, one part below the other, lie on a device as they are stored: in a
/// file's blocks, in NF4, or in a type of products. Rows are expanded there when they are asked for.
class DeviceMatrix {
 public:
  DeviceMatrix(int64_t in, at::Device device) : in_(in), device_(device) {}

  /// True if the device has kernels that expand blocks.
  static bool is_possible(at::Device device);

  /// Rows of a file in a format for which `has_block_kernel` (kernels/tasks/block_tasks.h).
  void add(const BlockRows& rows);
  /// Rows of values in NF4.
  void add(const Nf4& values, int64_t rows);
  /// Rows [n, in] as they are.
  void add(const at::Tensor& rows);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  int64_t bytes() const;

  /// Rows [begin, end) on the device, [end - begin, in], in f32 or bf16.
  at::Tensor rows(int64_t begin, int64_t end, at::ScalarType type) const;

 private:
  struct Blocks {
    DType dtype;
    at::Tensor bytes;  ///< uint8 [n, row_bytes]
  };
  struct Codes {
    Nf4 values;
    at::Tensor code;  ///< as dynamic_map
  };
  struct Part {
    std::variant<at::Tensor, Blocks, Codes> rows;
    int64_t begin, end;
  };

  at::Tensor expanded(const Part& part, int64_t begin, int64_t end, at::ScalarType type) const;
  void append(std::variant<at::Tensor, Blocks, Codes> rows, int64_t count);

  int64_t out_ = 0, in_;
  at::Device device_;
  std::vector<Part> parts_;
};

}  // namespace lowrank
