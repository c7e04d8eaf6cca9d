#include "model/experts.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/zeros_like.h>

#include "formats/dtype.h"
#include "kernels/core/device.h"
#include "kernels/operations/expert_routes.h"
#include "kernels/operations/glu.h"
#include "kernels/products/low_rank_linear.h"
#include "model/checkpoint.h"
#include "model/model.h"

namespace lowrank {
namespace {

/// The type of the router: exact, whatever the products' type.
at::ScalarType router_type(at::ScalarType compute) {
  return compute == at::kDouble ? at::kDouble : at::kFloat;
}

/// The hooks as one expert sees them, whose rows are those of the tokens that use it: patches for some tokens
/// are for their rows.
class ExpertHooks final : public Hooks {
 public:
  /// `tokens` ascend.
  ExpertHooks(const Hooks& hooks, std::span<const int64_t> tokens) : hooks_(hooks), tokens_(tokens) {}

  std::vector<Patch> patches(const Place& place, const Module& module) const override {
    std::vector<Patch> patches = hooks_.patches(place, module);
    std::vector<Patch> own;
    for (Patch& patch : patches) {
      if (!is_for_all_tokens(patch)) {
        patch.first_token = row_of(patch.first_token);
        patch.end_token = row_of(patch.end_token);
        if (patch.first_token == patch.end_token) continue;
      }
      own.push_back(std::move(patch));
    }
    return own;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    return hooks_.weight(context, tensor);
  }

 private:
  /// The first row of a token from this one on.
  int64_t row_of(int64_t token) const { return std::ranges::lower_bound(tokens_, token) - tokens_.begin(); }

  const Hooks& hooks_;
  std::span<const int64_t> tokens_;
};

at::Tensor router_logits(const Experts& experts, const Place& place, const Hooks& hooks,
                         const at::Tensor& x) {
  const at::ScalarType type = router_type(x.scalar_type());
  const auto value_of = [&](const TensorRef* tensor, const at::Tensor& frozen) {
    return frozen.defined() || !tensor ? frozen : hooks.weight(place.context, *tensor).to(type);
  };
  const at::Tensor bias = value_of(experts.router_bias, experts.router_bias_value);
  return dense_linear(x.to(type), value_of(experts.router, experts.router_value),
                      bias.defined() ? std::optional(bias) : std::nullopt,
                      hooks.patches(place, *experts.router_module));
}

/// Adds a pass's tokens per expert to those counted so far.
void add_loads(std::vector<int64_t>& tokens, const std::vector<int64_t>& counts) {
  tokens.resize(counts.size());
  std::ranges::transform(tokens, counts, tokens.begin(), std::plus());
}

/// Multiplies the weights of each token's experts by those experts' factors.
void scale_weights(ExpertRoutes& routes, const at::Tensor& scales) {
  std::vector<int64_t> numbers;
  for (int64_t e = 0; e < std::ssize(routes.counts); ++e) numbers.insert(numbers.end(), routes.counts[e], e);
  const at::Tensor expert_of_pair = indices_for(scales, numbers);
  const at::Tensor experts = expert_of_pair.index_select(0, routes.places);
  routes.weights = routes.weights * scales.index_select(0, experts).view(routes.weights.sizes());
}

/// What is between an expert's products, from g | u [T, 2f]: act(g) * u, or the clamped unit.
at::Tensor hidden_values(const ExpertsConfig& config, const at::Tensor& gate_up) {
  if (config.limit == 0)
    return glu(gate_up, config.activation == Activation::silu ? Gate::silu : Gate::gelu_tanh);
  const int64_t width = gate_up.size(1) / 2;
  const at::ScalarType type = router_type(gate_up.scalar_type());
  const at::Tensor gate = at::clamp_max(gate_up.narrow(1, 0, width).to(type), config.limit);
  const at::Tensor up = at::clamp(gate_up.narrow(1, width, width).to(type), -config.limit, config.limit);
  return ((up + 1) * gate * at::sigmoid(gate * config.alpha)).to(gate_up.scalar_type());
}

/// What the expert that all tokens use adds.
at::Tensor shared_output(const Experts& experts, const Place& place, const Hooks& hooks,
                         const at::Tensor& x) {
  const at::Tensor hidden = hidden_values(experts.config, apply(experts.shared->gate_up, place, hooks, x));
  const at::Tensor weight = at::sigmoid(apply(experts.shared_weight, place, hooks, x));
  return apply(experts.shared->down, place, hooks, hidden) * weight;
}

}  // namespace

bool stays_in_file(const StoredTensor& stored, const LoadOptions& options) {
  // Bytes are blocks of 4-bit values.
  const bool blocks = info_of(stored.dtype).block > 1 || stored.dtype == DType::u8;
  if (!options.memory) return blocks;
  return *options.memory == BaseMemory::small || (*options.memory == BaseMemory::blocks && blocks);
}

Experts load_experts(const Checkpoint& checkpoint, const LoadOptions& options, const ExpertsConfig& config,
                     int64_t layer) {
  struct Tensors {
    const TensorRef *gate = nullptr, *up = nullptr, *down = nullptr;
  };
  const ModelSpec& spec = checkpoint.spec();
  const std::string prefix = spec.layer_prefix(static_cast<int>(layer));
  std::vector<Tensors> of(config.count);
  for (const TensorRef& tensor : spec.tensors) {
    if (tensor.layer != layer || !tensor.expert || !tensor.is_weight()) continue;
    Tensors& own = of[tensor.expert->number];
    (tensor.role == Role::gate ? own.gate : tensor.role == Role::up ? own.up : own.down) = &tensor;
  }
  Experts experts;
  experts.config = config;
  const std::string router = prefix + std::string(config.router.name);
  experts.router_module = spec.find_module(router);
  const auto frozen = [&](const TensorRef* tensor) {
    return tensor && options.use_of(*tensor) == TensorUse::frozen
               ? checkpoint.read(*tensor, router_type(options.compute), options.device)
               : at::Tensor();
  };
  experts.router = spec.find_tensor(router + ".weight");
  experts.router_value = frozen(experts.router);
  experts.router_bias = spec.find_tensor(router + ".bias");
  experts.router_bias_value = frozen(experts.router_bias);
  if (config.output_scales)
    experts.scales = checkpoint.read(*spec.find_tensor(prefix + std::string(config.output_scales.name)),
                                     router_type(options.compute), options.device);
  const auto load = [&](std::initializer_list<const TensorRef*> tensors) {
    std::vector<std::string> names;
    LoadOptions own = options;
    for (const TensorRef* tensor : tensors) {
      const StoredTensor* stored = checkpoint.find(*tensor);
      if (stored && stays_in_file(*stored, options) && options.memory != BaseMemory::blocks)
        own.memory = BaseMemory::small;
      names.emplace_back(tensor->module_name());
    }
    return load_linear(checkpoint, own, names);
  };
  for (const Tensors& own : of) experts.experts.push_back({load({own.gate, own.up}), load({own.down})});
  if (config.shared_ff == 0) return experts;
  const auto shared = [&](const PartName& part) { return prefix + std::string(part.name); };
  experts.shared = {load_linear(checkpoint, options, {shared(config.shared_gate), shared(config.shared_up)}),
                    load_linear(checkpoint, options, {shared(config.shared_down)})};
  experts.shared_weight = load_linear(checkpoint, options, {shared(config.shared_weight)});
  return experts;
}

std::optional<ExpertBalance> balance_of(const ExpertLoads& loads) {
  if (loads.tokens.empty()) return std::nullopt;
  ExpertBalance balance;
  for (const auto& [layer, tokens] : loads.tokens) {
    const int64_t all = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
    const double even = static_cast<double>(all) / static_cast<double>(tokens.size());
    const double busiest = static_cast<double>(std::ranges::max(tokens)) / even;
    if (busiest > balance.busiest) balance.busiest = busiest, balance.layer = layer;
    balance.unused += std::ranges::count(tokens, 0);
    balance.experts += std::ssize(tokens);
  }
  return balance;
}

at::Tensor apply(const Experts& experts, const Place& place, const Hooks& hooks, const at::Tensor& x,
                 const at::Tensor& read) {
  if (x.size(0) == 0) return at::zeros_like(x);
  ExpertRoutes routes = expert_routes(router_logits(experts, place, hooks, read.defined() ? read : x),
                                      experts.config.used, experts.config.normalised);
  if (experts.scales.defined()) scale_weights(routes, experts.scales);
  if (place.context.loads) add_loads(place.context.loads->tokens[place.layer], routes.counts);
  std::vector<int64_t> numbers, counts;
  for (int64_t e = 0; e < std::ssize(routes.counts); ++e) {
    if (routes.counts[e] == 0) continue;
    numbers.push_back(e);
    counts.push_back(routes.counts[e]);
  }
  const auto* tokens = routes.tokens.const_data_ptr<int64_t>();
  const std::vector<at::Tensor> inputs =
      at::split_with_sizes(x.index_select(0, routes.tokens.to(x.device())), counts);
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Experts::Expert& expert = experts.experts[numbers[i]];
    const ExpertHooks own(hooks, {tokens, static_cast<size_t>(counts[i])});
    tokens += counts[i];
    const at::Tensor hidden = hidden_values(experts.config, apply(expert.gate_up, place, own, inputs[i]));
    outputs.push_back(apply(expert.down, place, own, hidden));
  }
  at::Tensor sum = weighted_sum(at::cat(outputs), routes);
  if (experts.shared) sum = sum + shared_output(experts, place, hooks, x);
  return sum.to(x.scalar_type());
}

}  // namespace lowrank
