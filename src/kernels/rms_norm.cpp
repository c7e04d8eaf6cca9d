#include "kernels/rms_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

namespace lowrank {

AddNorm add_rms_norm_reference(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                               double epsilon, at::ScalarType out) {
  const at::Tensor sum = branch.defined() ? at::add(stream, branch.to(stream.scalar_type())) : stream;
  const at::Tensor scale = at::rsqrt(at::mean(sum * sum, 1, true) + epsilon);
  return {sum, (sum * scale * weight).to(out)};
}

AddNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                     double epsilon, at::ScalarType out) {
  return add_rms_norm_reference(stream, branch, weight, epsilon, out);
}

}  // namespace lowrank
