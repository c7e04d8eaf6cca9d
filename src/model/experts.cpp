#include "model/experts.h"

#include <algorithm>
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

/// What is between an expert's products, from g | u [T, 2f]: silu(g) * u, or gpt-oss's clamped unit.
at::Tensor hidden_values(const ExpertsConfig& config, const at::Tensor& gate_up) {
  if (config.limit == 0) return glu(gate_up, Gate::silu);
  const int64_t width = gate_up.size(1) / 2;
  const at::ScalarType type = router_type(gate_up.scalar_type());
  const at::Tensor gate = at::clamp_max(gate_up.narrow(1, 0, width).to(type), config.limit);
  const at::Tensor up = at::clamp(gate_up.narrow(1, width, width).to(type), -config.limit, config.limit);
  return ((up + 1) * gate * at::sigmoid(gate * config.alpha)).to(gate_up.scalar_type());
}

}  // namespace

bool stays_in_file(const StoredTensor& stored, const LoadOptions& options) {
  // Bytes are blocks of 4-bit values.
  const bool blocks = info_of(stored.dtype).block > 1 || stored.dtype == DType::u8;
  return options.memory ? *options.memory == BaseMemory::small : blocks;
}

Experts load_experts(const Checkpoint& checkpoint, const LoadOptions& options, const ExpertsConfig& config,
                     int64_t layer) {
  struct Tensors {
    const TensorRef *gate = nullptr, *up = nullptr, *down = nullptr;
  };
  std::vector<Tensors> of(config.count);
  Experts experts;
  experts.config = config;
  for (const TensorRef& tensor : checkpoint.spec().tensors) {
    if (tensor.layer != layer) continue;
    if (tensor.role == Role::router) (tensor.is_weight() ? experts.router : experts.router_bias) = &tensor;
    if (!tensor.expert || !tensor.is_weight()) continue;
    Tensors& own = of[tensor.expert->number];
    (tensor.role == Role::gate ? own.gate : tensor.role == Role::up ? own.up : own.down) = &tensor;
  }
  experts.router_module = checkpoint.spec().find_module(experts.router->module_name());
  if (options.use_of(*experts.router) == TensorUse::frozen)
    experts.router_value = checkpoint.read(*experts.router, router_type(options.compute));
  if (experts.router_bias && options.use_of(*experts.router_bias) == TensorUse::frozen)
    experts.router_bias_value = checkpoint.read(*experts.router_bias, router_type(options.compute));
  const auto load = [&](std::initializer_list<const TensorRef*> tensors) {
    std::vector<std::string> names;
    LoadOptions own = options;
    for (const TensorRef* tensor : tensors) {
      const StoredTensor* stored = checkpoint.find(*tensor);
      if (stored && stays_in_file(*stored, options)) own.memory = BaseMemory::small;
      names.emplace_back(tensor->module_name());
    }
    return load_linear(checkpoint, own, names);
  };
  for (const Tensors& own : of) experts.experts.push_back({load({own.gate, own.up}), load({own.down})});
  return experts;
}

at::Tensor apply(const Experts& experts, const Place& place, const Hooks& hooks, const at::Tensor& x) {
  if (x.size(0) == 0) return at::zeros_like(x);
  const ExpertRoutes routes =
      expert_routes(router_logits(experts, place, hooks, x), experts.config.used, experts.config.normalised);
  std::vector<int64_t> numbers, counts;
  for (int64_t e = 0; e < std::ssize(routes.counts); ++e) {
    if (routes.counts[e] == 0) continue;
    numbers.push_back(e);
    counts.push_back(routes.counts[e]);
  }
  const auto* tokens = routes.tokens.const_data_ptr<int64_t>();
  const std::vector<at::Tensor> inputs = at::split_with_sizes(x.index_select(0, routes.tokens), counts);
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Experts::Expert& expert = experts.experts[numbers[i]];
    const ExpertHooks own(hooks, {tokens, static_cast<size_t>(counts[i])});
    tokens += counts[i];
    const at::Tensor hidden = hidden_values(experts.config, apply(expert.gate_up, place, own, inputs[i]));
    outputs.push_back(apply(expert.down, place, own, hidden));
  }
  return weighted_sum(at::cat(outputs), routes).to(x.scalar_type());
}

}  // namespace lowrank
