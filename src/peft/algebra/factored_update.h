#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The update D = s B A of one module's weight, independent of any model.
struct FactoredUpdate {
  std::string module;      ///< its name in the files, without the part that names the factor
  bool embedding = false;  ///< the factors are stored as an embedding's
  double scale = 1;        ///< s
  at::Tensor a;            ///< A [r, in], f32; for an embedding [r, V]
  at::Tensor b;            ///< B [out, r], f32; for an embedding [d, r]

  int64_t rank() const { return a.size(0); }
};

/// <D, D'>, the sum of the products of their entries: s s' tr((B^T B') (A' A^T)), in double precision and
/// without forming D. Both have the same shape.
double inner_product(const FactoredUpdate& one, const FactoredUpdate& other);

/// The Frobenius norm of D.
double norm_of(const FactoredUpdate& update);

/// True when the name comes first, with the numbers in names in numerical order: layers.2 before layers.10.
bool natural_less(std::string_view one, std::string_view other);

}  // namespace lowrank
