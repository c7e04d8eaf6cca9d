#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/tensor_file.h"

namespace lowrank {

/// How much of an adapter's updates survives rounding. With W the base's values, D the update and M what is
/// read back of W + D, it is <M - W, D> / <D, D> over all tensors added: about 1 if rounding only adds noise,
/// 0 if it restores the base's values.
class KeptUpdate {
 public:
  void add(std::span<const float> base, std::span<const float> merged, std::span<const float> written);
  double share() const { return whole_ > 0 ? kept_ / whole_ : 1; }  ///< 1 if nothing changes
  /// The size of what rounding adds, |M - (W + D)|, as a share of the update's size |D|; 0 if nothing
  /// changes.
  double noise() const { return whole_ > 0 ? std::sqrt(rounding_ / whole_) : 0; }

 private:
  double kept_ = 0, whole_ = 0, rounding_ = 0;
};

/// A tensor before and after an adapter changed it, f32, of the same shape and in the file's order.
struct ChangedTensor {
  at::Tensor base, merged;
};

/// f32 values rounded to a stored type. Errors: unsupported types; invalid, naming the tensor, for values
/// that are not finite before or after rounding.
std::vector<std::byte> rounded(const std::string& name, DType type, const at::Tensor& values);

/// Adds the tensor to `kept`, as it is stored in `bytes` with `type`.
void add_kept(KeptUpdate& kept, const ChangedTensor& tensor, DType type, std::span<const std::byte> bytes);

/// Errors: invalid, naming the tensor, when a stored number is not finite.
void check_finite(const StoredTensor& stored);

}  // namespace lowrank
