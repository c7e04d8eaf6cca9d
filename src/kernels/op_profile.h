#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// What one operation took, over all its calls.
struct OpTime {
  int64_t calls = 0;
  double seconds = 0;  ///< without the operations that it called
  double flops = 0;    ///< of matrix products: 2 m n k each
};

/// A matrix product that ran, with its operands as they lay in memory.
struct RecordedProduct {
  at::Tensor left;                   ///< an operand of the same sizes, strides and type, of other values
  at::Tensor right;                  ///< likewise; of `product` the operand itself
  bool packed = false;               ///< ran through kernels/products.h, so that it is left right^T
  std::function<void()> again = {};  ///< of kernels of ours: runs it; there are no operands then
};

/// What operations took, by name.
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
  std::map<std::string, at::Tensor> operands_;  ///< one for all products whose operands have the same form
};

/// Adds to `profile`, as long as it lives, every operation of the calling thread, those of the autograd
/// engine included, through libtorch's own observers. Only one may exist in a thread at a time.
class ProfileScope {
 public:
  explicit ProfileScope(OpProfile& profile);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

  /// True where one lives in this thread.
  static bool active();
  /// A product in a kernel of ours, which no observer sees, counts to the operation that runs; `again`
  /// computes it once more. Only where one is active.
  static void add_product(double flops, std::function<void()> again);

 private:
  struct Observer;
  uint64_t handle_ = 0;
};

/// Computes the products once, in order, and throws the results away; returns the seconds.
double replay(const std::vector<RecordedProduct>& products);

}  // namespace lowrank
