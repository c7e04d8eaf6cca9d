#include "peft/bottleneck/bottleneck.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/ones_like.h>

#include "kernels/operations/dropout.h"
#include "kernels/operations/layer_norm.h"
#include "peft/bottleneck/bottleneck_activation.h"

namespace lowrank {
namespace {

/// N(0, deviation) truncated at two deviations, by the inverse error function (as torch's trunc_normal_).
void fill_truncated_normal(const at::Tensor& tensor, double deviation, at::Generator& generator) {
  const double bound = std::erf(2 / std::sqrt(2.0));
  tensor.uniform_(-bound, bound, generator);
  tensor.erfinv_().mul_(deviation * std::sqrt(2.0)).clamp_(-2 * deviation, 2 * deviation);
}

}  // namespace

Bottleneck::Bottleneck(const BottleneckConfig& config, int64_t hidden, std::string prefix, std::string rule)
    : config_(config),
      hidden_(hidden),
      size_(config.size(hidden)),
      prefix_(std::move(prefix)),
      rule_(std::move(rule)),
      activation_(activation_named(config.non_linearity)) {}

void Bottleneck::plan_projection(TrainPlan& plan, const std::string& name, int64_t in, int64_t out,
                                 bool frozen) const {
  const auto add = [&](const std::string& what, std::vector<int64_t> shape) {
    ParameterSpec spec{name + what, std::move(shape)};
    spec.frozen = frozen;
    plan.parameters.push_back(std::move(spec));
  };
  if (!config_.phm_layer) {
    add("weight", {out, in});
    add("bias", {out});
    plan.macs_per_token += in * out;
    return;
  }
  const int64_t n = config_.phm_dim;
  if (!config_.shared_phm_rule) add("phm_rule", {n, n, n});
  add("W_left", {n, in / n, config_.phm_rank});
  add("W_right", {n, config_.phm_rank, out / n});
  add("b", {out});
  plan.macs_per_token += phm_macs(in, out, n, config_.phm_rank);
}

void Bottleneck::plan(TrainPlan& plan, bool frozen) const {
  plan.kept_values += 2 * (hidden_ + size_);
  const size_t first = plan.parameters.size();
  if (config_.ln_before) {
    for (const char* part : {"weight", "bias"}) {
      plan.parameters.push_back({prefix_ + "adapter_norm_before." + part, {hidden_}});
      plan.copies.push_back({prefix_ + "adapter_down.0." + part, prefix_ + "adapter_norm_before." + part});
    }
  }
  plan_projection(plan, down_name(), hidden_, size_, frozen);
  plan_projection(plan, up_name(), size_, hidden_, frozen);
  if (config_.scaling_type != "constant")
    plan.parameters.push_back({prefix_ + "scaling", {config_.scaling_type == "learned" ? 1 : hidden_}});
  for (size_t i = first; i < plan.parameters.size(); ++i) plan.parameters[i].frozen = frozen;
}

Bottleneck::Projection Bottleneck::bound(const ParameterSet& parameters, const std::string& name) const {
  if (!config_.phm_layer) return {parameters.at(name + "weight"), {}, parameters.at(name + "bias")};
  return {{},
          {parameters.at(config_.shared_phm_rule ? rule_ : name + "phm_rule"), parameters.at(name + "W_left"),
           parameters.at(name + "W_right")},
          parameters.at(name + "b")};
}

void Bottleneck::bind(const ParameterSet& parameters) {
  if (config_.ln_before) {
    norm_weight_ = parameters.at(prefix_ + "adapter_norm_before.weight");
    norm_bias_ = parameters.at(prefix_ + "adapter_norm_before.bias");
  }
  down_ = bound(parameters, down_name());
  up_ = bound(parameters, up_name());
  if (config_.scaling_type != "constant") scale_ = parameters.at(prefix_ + "scaling");
}

void Bottleneck::initialise(const Projection& projection, bool is_down, at::Generator& generator) const {
  projection.bias.zero_();
  const std::string& init = config_.init_weights;
  if (config_.phm_layer) {
    for (const at::Tensor& factor : {projection.phm.left, projection.phm.right})
      factor.normal_(0, std::sqrt(2.0 / static_cast<double>(factor.size(1) + factor.size(2))), generator);
    if (!config_.shared_phm_rule) projection.phm.rule.normal_(0, 0.01, generator);
  } else if (init == "mam_adapter") {
    const double bound = is_down ? 1 / std::sqrt(static_cast<double>(hidden_)) : 0;
    projection.weight.uniform_(-bound, bound, generator);
  } else if (init == "houlsby") {
    fill_truncated_normal(projection.weight, 0.01, generator);
  } else {
    projection.weight.normal_(0, init == "normal" ? 0.01 : 0.02, generator);
  }
}

void Bottleneck::initialise(at::Generator& generator) const {
  const at::NoGradGuard no_grad;
  initialise(down_, true, generator);
  initialise(up_, false, generator);
  if (config_.ln_before) {
    norm_weight_.fill_(1);
    norm_bias_.zero_();
  }
  if (scale_.defined()) scale_.fill_(1);
}

at::Tensor Bottleneck::project(const at::Tensor& x, const Projection& projection) const {
  if (config_.phm_layer) return phm_product(x, projection.phm).add_(projection.bias);
  return at::addmm(projection.bias, x, projection.weight.t());
}

at::Tensor Bottleneck::apply(const at::Tensor& x, uint64_t dropout_seed) const {
  constexpr double epsilon = 1e-5;
  const at::Tensor normed =
      config_.ln_before ? add_layer_norm(x, {}, norm_weight_, norm_bias_, epsilon, x.scalar_type()).normed
                        : x;
  at::Tensor u = project(activation_(project(normed, down_)), up_);
  if (scale_.defined()) {
    u = u * scale_;
  } else if (config_.scaling != 1) {
    u = u * config_.scaling;
  }
  if (dropout_seed == 0 || config_.dropout == 0) return u;
  // apply_dropout itself has no gradient.
  return u * apply_dropout(at::ones_like(u), {config_.dropout, dropout_seed});
}

}  // namespace lowrank
