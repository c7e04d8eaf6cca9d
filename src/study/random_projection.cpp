#include "study/random_projection.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/rng.h"

namespace lowrank {

at::Tensor random_projection(int64_t inputs, int64_t outputs, uint64_t seed) {
  at::Tensor matrix = at::empty({inputs, outputs}, at::kFloat);
  Philox random(seed);
  const float deviation = 1 / std::sqrt(static_cast<float>(outputs));
  auto* values = matrix.mutable_data_ptr<float>();
  for (int64_t i = 0; i < matrix.numel(); ++i) values[i] = deviation * random.normal();
  return matrix;
}

at::Tensor CommonScale::operator()(const at::Tensor& rows) const {
  return (rows - mean) * factor;
}

CommonScale common_scale(const at::Tensor& rows) {
  const at::Tensor mean = rows.mean(0);
  const double variance = (rows - mean).square().mean().item<double>();
  check(variance > 0, ErrorKind::invalid, "all {} rows have the same features: nothing tells them apart",
        rows.size(0));
  return {mean, 1 / std::sqrt(variance)};
}

}  // namespace lowrank
