#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A frozen layer that a sentence-transformers folder puts after the pooling: y = f(W x + b).
struct DenseLayer {
  at::Tensor weight;  ///< W [out, in], f32
  at::Tensor bias;    ///< b [out], f32; undefined: none
  bool tanh = false;  ///< f is the hyperbolic tangent, else the identity

  int64_t out() const { return weight.size(0); }
  /// [S, in] -> [S, out] in the type of `x`.
  at::Tensor operator()(const at::Tensor& x) const;
};

/// Reads `linear.weight` and, with `bias`, `linear.bias` of a safetensors file. `out`: values of y, where
/// they are stated. Errors: as SafetensorsFile::open; corrupt for missing, misshapen or other tensors.
DenseLayer load_dense(const std::filesystem::path& file, int64_t in, std::optional<int64_t> out, bool bias,
                      bool tanh);

}  // namespace lowrank
