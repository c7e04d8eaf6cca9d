#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/tensor_file.h"

namespace lowrank {

/// How much of an adapter's updates is in what is written. With W the base's values, D the update and M what
/// is read back of W + D it is <M - W, D> / <D, D>, over all that was added: about 1 where rounding adds
/// nothing but noise, 0 where it gives the base's own values back.
class KeptUpdate {
 public:
  void add(std::span<const float> base, std::span<const float> merged, std::span<const float> written);
  double share() const { return whole_ > 0 ? kept_ / whole_ : 1; }  ///< 1 where nothing changes

 private:
  double kept_ = 0, whole_ = 0;
};

/// A tensor before and after an adapter changed it, f32, of the same shape and in the order of the file.
struct ChangedTensor {
  at::Tensor base, merged;
};

/// f32 values as a stored type has them. Errors: unsupported types; invalid, naming the tensor, for values
/// that are not finite, or are not after rounding.
std::vector<std::byte> rounded(const std::string& name, DType type, const at::Tensor& values);

/// Adds the tensor to `kept` as `bytes`, of `type`, have it.
void add_kept(KeptUpdate& kept, const ChangedTensor& tensor, DType type, std::span<const std::byte> bytes);

/// Errors: invalid, naming the tensor, when a stored number is not finite.
void check_finite(const StoredTensor& stored);

}  // namespace lowrank
