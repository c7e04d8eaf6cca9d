#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <ATen/core/Tensor.h>

#include "kernels/blocks/block_product.h"
#include "kernels/products/device_matrix.h"

namespace lowrank {

/// How much memory a frozen weight may take: `fast` keeps two copies laid out for the two products, `one` a
/// single row-major copy for both, `small` none: rows are expanded from the file's blocks for each product.
/// `blocks` keeps none either: without gradients, inputs are rounded to 8 bits and multiplied with the
/// blocks.
enum class BaseMemory { fast, one, small, blocks };

/// Writes rows [begin, end) of a matrix to `out` [end - begin, in], in its type. Called from several threads.
using RowSource = std::function<void(int64_t begin, int64_t end, at::Tensor& out)>;

/// A frozen matrix W [out, in] in the compute type, prepared for y = x W^T and dx = dy W. W gets no gradient.
class PreparedWeight {
 public:
  /// `w`: [out, in], may be freed afterwards. `for_training`: input gradients will be needed. `source`
  /// supplies the rows for `rows` if only packed copies are kept.
  static PreparedWeight pack(const at::Tensor& w, at::ScalarType compute, BaseMemory memory,
                             bool for_training, RowSource source = nullptr);

  /// W [out, in] that is never kept: each product expands some rows at a time.
  static PreparedWeight expanded(RowSource source, int64_t out, int64_t in, at::ScalarType compute);

  /// W [out, in] whose rows are multiplied in their blocks; `source` supplies them for everything else.
  /// Inputs are rounded to 8 bits, or with `exact` multiplied as they are if they are few rows.
  static PreparedWeight in_blocks(BlockMatrix blocks, BlockInput input, RowSource source,
                                  at::ScalarType compute);

  /// W whose rows lie on a device as they are stored: each product expands some rows there.
  static PreparedWeight on_device(DeviceMatrix rows, at::ScalarType compute);

  /// x [T, in] -> x W^T + bias, [T, out].
  at::Tensor forward(const at::Tensor& x, const std::optional<at::Tensor>& bias = std::nullopt) const;
  /// dy [T, out] -> dy W, [T, in].
  at::Tensor input_gradient(const at::Tensor& dy) const;

  /// Rows [begin, end) of W in `type`, [end - begin, in]. Errors: invalid for a weight that was packed
  /// without its source.
  at::Tensor rows(int64_t begin, int64_t end, at::ScalarType type) const;
  /// The products with rows [begin, end) of W alone: x W[begin:end]^T, [T, end - begin], and dy W[begin:end]
  /// for dy [T, end - begin]. Errors: as `rows`.
  at::Tensor forward(const at::Tensor& x, int64_t begin, int64_t end) const;
  at::Tensor input_gradient(const at::Tensor& dy, int64_t begin, int64_t end) const;

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  at::ScalarType type() const { return type_; }
  /// Bytes of memory that the weight keeps.
  int64_t bytes() const;

 private:
  bool keeps_nothing() const { return !rows_.defined() && !forward_.defined(); }
  at::Tensor expand(int64_t begin, int64_t end, at::ScalarType type) const;
  /// Whether the blocks are multiplied as they are: not with many rows that are not rounded.
  bool multiplies_blocks(const at::Tensor& x) const;
  /// The products with rows [begin, end), expanded some at a time.
  at::Tensor forward_expanded(const at::Tensor& x, const std::optional<at::Tensor>& bias, int64_t begin,
                              int64_t end) const;
  at::Tensor gradient_expanded(const at::Tensor& dy, int64_t begin, int64_t end) const;
  /// Rows expanded at a time.
  int64_t step() const;
  int64_t out_ = 0, in_ = 0;
  at::ScalarType type_ = at::kFloat;
  at::Tensor rows_;                            ///< [out, in], if nothing is packed
  at::Tensor forward_, back_;                  ///< oneDNN's opaque layouts of W and of W^T
  std::shared_ptr<const BlockMatrix> blocks_;  ///< null: not multiplied in its blocks
  BlockInput input_ = BlockInput::int8;
  std::shared_ptr<const DeviceMatrix>
      device_rows_;   ///< null: the rows are not on a device as they are stored
  RowSource source_;  ///< of the rows if they are not kept unpacked; may be empty
};

}  // namespace lowrank
