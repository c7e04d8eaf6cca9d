#include "peft/bottleneck/bottleneck_sites.h"

#include <algorithm>

#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "kernels/operations/layer_norm.h"
#include "model/linear.h"

namespace lowrank {
namespace {

at::Tensor normed(const Norm& norm, const Context& context, const Hooks& hooks, const at::Tensor& x) {
  const at::Tensor weight = weight_of(norm, context, hooks);
  if (!norm.bias) return rms_norm(x, weight, norm.epsilon, x.scalar_type());
  return add_layer_norm(x, {}, weight, bias_of(norm, context, hooks), norm.epsilon, x.scalar_type()).normed;
}

}  // namespace

std::vector<BottleneckSite> bottleneck_sites(const ModelSpec& spec, const BottleneckConfig& config) {
  for (const int64_t layer : config.leave_out) {
    check(layer >= 0 && layer < spec.layers, ErrorKind::invalid,
          "leave_out: layer {} is not one of the model's {}", layer, spec.layers);
  }
  std::vector<BottleneckSite> sites;
  for (int layer = 0; layer < spec.layers; ++layer) {
    if (std::ranges::find(config.leave_out, layer) != config.leave_out.end()) continue;
    const std::string prefix = spec.layer_prefix(layer);
    if (config.attention) sites.push_back({layer, Role::attention_out, prefix + spec.branch_names.attention});
    if (config.mlp) sites.push_back({layer, Role::down, prefix + spec.branch_names.mlp});
  }
  check(!sites.empty(), ErrorKind::invalid,
        "no layer gets an adapter: leave_out takes all {} of them, or mh_adapter and output_adapter are off",
        spec.layers);
  return sites;
}

std::string shared_rule_name(const ModelSpec& spec, const std::string& adapter) {
  const std::string prefix = spec.layer_prefix(0);
  return fmt::format("{}.shared_parameters.{}.phm_rule", prefix.substr(0, prefix.find('.')), adapter);
}

at::Tensor bottleneck_input(const BottleneckConfig& config, const Context& context, const Hooks& hooks,
                            const Site& site, const at::Tensor& in, const at::Tensor& out,
                            at::ScalarType type) {
  if (config.is_parallel) return in.to(type);
  if (!config.original_ln_before) return out.to(type);
  const at::Tensor sum = (in + out).to(type);
  return site.post_norm ? normed(*site.post_norm, context, hooks, sum) : sum;
}

}  // namespace lowrank
