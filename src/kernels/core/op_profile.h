#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Calls, time and work of one operation, over all its calls.
struct OpTime {
  int64_t calls = 0;
  double seconds = 0;  ///< excluding the operations that it called
  double flops = 0;    ///< of matrix products: 2 m n k each
};

/// A matrix product that ran, with its operands as they lay in memory.
struct RecordedProduct {
  at::Tensor left;                   ///< an operand of the same sizes, strides and type, with other values
  at::Tensor right;                  ///< likewise; for `product` the operand itself
  bool packed = false;               ///< ran through kernels/products/products.h, so it is left right^T
  std::function<void()> again = {};  ///< for our own kernels: runs it; then there are no operands
};

/// Calls, time and work of operations, by name.
class OpProfile {
 public:
  /// `keep_products`: products are recorded so that `replay` can run them again.
  explicit OpProfile(bool keep_products = false) : keep_products_(keep_products) {}

  const std::map<std::string, OpTime>& times() const { return times_; }
  const std::vector<RecordedProduct>& products() const { return products_; }
  /// Forgets what was recorded.
  void clear();

 private:
  friend class ProfileScope;
  bool keep_products_;
  std::map<std::string, OpTime> times_;
  std::vector<RecordedProduct> products_;
  std::map<std::string, at::Tensor> operands_;  ///< one for all operands of the same form
};

/// While it lives, adds to `profile` every operation of the calling thread, including those of the autograd
/// engine, through libtorch's own observers. Only one may exist per thread at a time.
class ProfileScope {
 public:
  explicit ProfileScope(OpProfile& profile);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

  /// True if one lives in this thread.
  static bool active();
  /// Counts a product inside one of our kernels, which no observer sees, toward the running operation;
  /// `again` computes it once more. Call only if one is active.
  static void add_product(double flops, std::function<void()> again);

 private:
  struct Observer;
  uint64_t handle_ = 0;
};

}  // namespace lowrank
