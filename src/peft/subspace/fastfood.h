#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The random projection P from `dimension` numbers to `count` by the Fastfood transform (Le et al. 2013; Li
/// et al. 2018, arXiv 1804.08838; Aghajanyan et al. 2020, arXiv 2012.13255):
///   P x = (H (g * permute(H (b * x))))[:count] / sqrt(count * sum g^2),
/// with x zero-padded or truncated to n = 2^ceil(log2 count), H the unnormalised Walsh-Hadamard matrix, b
/// random signs, g standard normal. |P x| is |x| on average. All random values follow from the seed and are
/// stored: 6 or 8 bytes for each of the n elements.
///
/// As x has at most `dimension` values, the first transform is periodic with period m = min(n, 2^ceil(log2
/// dimension)); only that is computed, and only permutation mod m is kept.
class Fastfood {
 public:
  Fastfood(int64_t count, int64_t dimension, uint64_t seed);

  /// [dimension] -> [count], f32 or f64. Without gradient.
  at::Tensor project(const at::Tensor& x) const;
  /// P^T: [count] -> [dimension]. Without gradient.
  at::Tensor transposed(const at::Tensor& y) const;

 private:
  template <class T>
  void project_values(const T* x, T* out) const;
  template <class T>
  void transposed_values(const T* y, T* out) const;

  int64_t place(int64_t i) const { return narrow_.empty() ? wide_[i] : narrow_[i]; }

  int64_t count_, dimension_;
  int64_t padded_, period_;       ///< n and m
  double scale_ = 0;              ///< 1 / sqrt(count sum g^2)
  std::vector<float> signs_;      ///< b [min(dimension, m)]
  std::vector<float> normals_;    ///< g [n]
  std::vector<uint16_t> narrow_;  ///< permutation mod m [n], if it fits
  std::vector<uint32_t> wide_;    ///< the same otherwise
};

}  // namespace lowrank
