#include "peft/prompt/generated_prompt.h"

#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include "base/error.h"

namespace lowrank {
namespace {

template <class Draw>
void fill(const at::Tensor& tensor, const Draw& draw) {
  const at::NoGradGuard no_grad;
  at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
  auto* data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = draw();
  tensor.detach().copy_(values);
}

}  // namespace

void GeneratedPrompt::begin_step(const std::function<at::Tensor()>& encode) {
  encoded_ = encode();
  leaf_ = encoded_.detach();
  leaf_.set_requires_grad(true);
}

const at::Tensor& GeneratedPrompt::value() const {
  check(leaf_.defined(), ErrorKind::invalid, "the prompt was not computed before the pass");
  return leaf_;
}

void GeneratedPrompt::end_backward() {
  if (leaf_.grad().defined()) encoded_.backward(leaf_.grad());
  encoded_ = at::Tensor();
}

at::Tensor EncoderLinear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

void EncoderLinear::initialise(Philox& random) const {
  const double bound = 1 / std::sqrt(static_cast<double>(weight.size(1)));
  fill_uniform(weight, bound, random);
  fill_uniform(bias, bound, random);
}

void fill_uniform(const at::Tensor& tensor, double bound, Philox& random) {
  fill(tensor, [&] { return static_cast<float>(bound) * (2 * random.uniform() - 1); });
}

void fill_normal(const at::Tensor& tensor, Philox& random) {
  fill(tensor, [&] { return random.normal(); });
}

}  // namespace lowrank
