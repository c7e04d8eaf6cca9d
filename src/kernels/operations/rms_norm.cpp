#include "kernels/operations/rms_norm.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"

namespace lowrank {

AddNorm add_rms_norm_reference(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                               double epsilon, at::ScalarType out) {
  const at::Tensor sum = branch.defined() ? at::add(stream, branch.to(stream.scalar_type())) : stream;
  const at::Tensor scale = at::rsqrt(at::mean(sum * sum, 1, true) + epsilon);
  return {sum, (sum * scale * weight).to(out)};
}

namespace {

struct AddNormBackward : Node {
  at::Tensor normed;   ///< [T, d]; often the input of an adapted product, which keeps it anyway
  at::Tensor inverse;  ///< [T], f32
  at::Tensor weight;
  bool branch_bf16 = false;

  void release_variables() override {
    normed.reset();
    inverse.reset();
  }

  GradientList apply(GradientList&& gradients) override {
    const at::NoGradGuard no_grad;
    at::Tensor d_sum = gradients[0];
    if (!gradients[1].defined())
      return {d_sum, d_sum.defined() && branch_bf16 ? d_sum.to(at::kBFloat16) : d_sum};
    if (d_sum.defined()) d_sum = d_sum.contiguous();
    const at::Tensor d_normed = gradients[1].contiguous();
    at::Tensor d_stream = at::empty(normed.sizes(), normed.options().dtype(at::kFloat));
    const bool wants_bf16 = branch_bf16 && task_should_compute_output(1);
    at::Tensor d_branch =
        wants_bf16 ? at::empty(normed.sizes(), normed.options().dtype(at::kBFloat16)) : d_stream;
    const at::Tensor reciprocal = weight.reciprocal();
    const RmsNormBackward op{normed.const_data_ptr(),
                             inverse.const_data_ptr<float>(),
                             weight.const_data_ptr<float>(),
                             reciprocal.const_data_ptr<float>(),
                             d_normed.const_data_ptr(),
                             d_sum.defined() ? d_sum.const_data_ptr<float>() : nullptr,
                             d_stream.mutable_data_ptr<float>(),
                             wants_bf16 ? static_cast<uint16_t*>(d_branch.mutable_data_ptr()) : nullptr,
                             normed.size(1),
                             normed.scalar_type() == at::kBFloat16};
    compute(kernels_for(normed.device()).rms_norm_backward, op, normed.size(0), normed.device());
    return {d_stream, d_branch};
  }
};

/// Whether values of the CPU are far enough from zero for the backward pass to divide by them.
bool are_divisors(const at::Tensor& weight) {
  constexpr float least = 1e-20F;
  const auto* values = weight.const_data_ptr<float>();
  return std::all_of(values, values + weight.numel(), [](float value) { return std::abs(value) >= least; });
}

/// What is known of the frozen weights of a device, of which reading one waits for the device.
class KnownWeights {
 public:
  bool are_divisors(const at::Tensor& weight) {
    const std::scoped_lock lock(mutex_);
    const auto found = by_address_.find(weight.unsafeGetTensorImpl());
    if (found != by_address_.end() && found->second.version == weight._version())
      return found->second.divides;
    std::erase_if(by_address_, [](const auto& entry) { return entry.second.weight.expired(); });
    const bool divides = lowrank::are_divisors(weight.cpu());
    by_address_.insert_or_assign(weight.unsafeGetTensorImpl(),
                                 Known{Weak(weight.getIntrusivePtr()), weight._version(), divides});
    return divides;
  }

 private:
  using Weak = c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>;
  struct Known {
    Weak weight;  ///< while it is held, its address is no other tensor's
    int64_t version;
    bool divides;
  };
  std::mutex mutex_;
  std::unordered_map<const at::TensorImpl*, Known> by_address_;
};

/// The backward pass divides by the weights.
bool can_divide_by(const at::Tensor& weight) {
  if (weight.is_cpu()) return are_divisors(weight);
  static KnownWeights known;
  return known.are_divisors(weight);
}

bool has_kernel(const at::Tensor& tensor, at::ScalarType out) {
  const bool known = tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
  return known && (out == at::kFloat || out == at::kBFloat16);
}

}  // namespace

AddNorm add_rms_norm(const at::Tensor& stream, const at::Tensor& branch, const at::Tensor& weight,
                     double epsilon, at::ScalarType out) {
  const OpScope scope("add_rms_norm");
  const Kernel<RmsNormForward> kernel = kernels_for(stream.device()).rms_norm_forward;
  if (!kernel || !has_kernel(stream, out) || stream.scalar_type() != at::kFloat || needs_gradient(weight) ||
      (branch.defined() && !has_kernel(branch, out)) ||
      (needs_gradient(stream, branch) && !can_divide_by(weight))) {
    return add_rms_norm_reference(stream, branch, weight, epsilon, out);
  }
  NodePointer<AddNormBackward> node;
  if (needs_gradient(stream, branch)) node = make_node<AddNormBackward>(stream, branch);
  const at::NoGradGuard no_grad;
  const at::Tensor from = stream.contiguous();
  const at::Tensor added = branch.defined() ? branch.contiguous() : branch;
  // Without a branch the sum is the stream, but its gradient passes through this node: it needs a tensor of
  // its own.
  AddNorm result{added.defined() ? at::empty(from.sizes(), from.options()) : from.detach(),
                 at::empty(from.sizes(), from.options().dtype(out))};
  at::Tensor inverse = at::empty({from.size(0)}, from.options());
  const RmsNormForward op{from.const_data_ptr<float>(),
                          added.defined() ? added.const_data_ptr() : nullptr,
                          weight.const_data_ptr<float>(),
                          added.defined() ? result.stream.mutable_data_ptr<float>() : nullptr,
                          result.normed.mutable_data_ptr(),
                          inverse.mutable_data_ptr<float>(),
                          from.size(1),
                          static_cast<float>(epsilon),
                          added.defined() && added.scalar_type() == at::kBFloat16,
                          out == at::kBFloat16};
  compute(kernel, op, from.size(0), from.device());
  if (!node) return result;
  node->normed = result.normed.detach();
  node->inverse = inverse;
  node->weight = weight;
  node->branch_bf16 = op.branch_bf16;
  connect(result.stream, node);
  connect(result.normed, node);
  return result;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::ScalarType out) {
  return add_rms_norm(x.to(weight.scalar_type()), {}, weight, epsilon, out).normed;
}

}  // namespace lowrank
