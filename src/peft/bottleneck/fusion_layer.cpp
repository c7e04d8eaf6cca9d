#include "peft/bottleneck/fusion_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

namespace lowrank {

void FusionLayer::plan(TrainPlan& plan, int64_t members) const {
  const std::vector<int64_t> square{hidden_, hidden_};
  for (const char* which : {"query", "key"}) {
    plan.parameters.push_back({prefix_ + which + ".weight", square});
    plan.parameters.push_back({prefix_ + which + ".bias", {hidden_}});
  }
  if (dynamic_) plan.parameters.push_back({prefix_ + "value.weight", square});
  plan.macs_per_token += (dynamic_ ? 3 : 2) * hidden_ * hidden_ + 2 * members * hidden_;
}

void FusionLayer::bind(const ParameterSet& parameters) {
  query_ = parameters.at(prefix_ + "query.weight");
  query_bias_ = parameters.at(prefix_ + "query.bias");
  key_ = parameters.at(prefix_ + "key.weight");
  key_bias_ = parameters.at(prefix_ + "key.bias");
  if (dynamic_) value_ = parameters.at(prefix_ + "value.weight");
}

void FusionLayer::initialise(at::Generator& generator) const {
  const at::NoGradGuard no_grad;
  query_.normal_(0, 0.02, generator);
  key_.normal_(0, 0.02, generator);
  query_bias_.zero_();
  key_bias_.zero_();
  if (!dynamic_) return;
  value_.fill_(1e-6);
  value_.fill_diagonal_(1);
}

at::Tensor FusionLayer::apply(const at::Tensor& x, const std::vector<at::Tensor>& outputs) const {
  // (Q x + b) · K u = (K^T (Q x + b)) · u: one product with K, regardless of the number of adapters; likewise
  // V.
  const at::Tensor query = at::mm(at::addmm(query_bias_, x, query_.t()), key_);
  std::vector<at::Tensor> scores;
  scores.reserve(outputs.size());
  for (const at::Tensor& output : outputs) scores.push_back((query * output).sum(-1));
  const at::Tensor shares = at::softmax(at::stack(scores, 1), 1);
  at::Tensor sum;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor part = outputs[i] * shares.narrow(1, static_cast<int64_t>(i), 1);
    sum = sum.defined() ? sum + part : part;
  }
  return dynamic_ ? at::mm(sum, value_.t()) : sum;
}

at::Tensor FusionLayer::distance_from_identity() const {
  return (at::eye(hidden_, value_.options().requires_grad(false)) - value_).pow(2).sum();
}

}  // namespace lowrank
