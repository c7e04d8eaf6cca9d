#include "peft/low_rank/expert_updates.h"

#include <algorithm>
#include <set>

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/stacked_experts.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for initial values.
constexpr uint64_t expert_stream = 11;

/// The name of the parameter in transformers that holds this tensor.
std::string parameter_of(const TensorRef& tensor) {
  if (tensor.expert) return tensor.expert->stack_name;
  return tensor.legacy_name.empty() ? tensor.name : tensor.legacy_name;
}

bool is_target(const std::string& parameter, const std::vector<std::string>& names) {
  return std::ranges::any_of(
      names, [&](const std::string& name) { return parameter == name || parameter.ends_with("." + name); });
}

/// What PEFT puts before `.lora_A.weight`: two parameters of one module are nested, the first one inside.
std::string key_of(const std::string& parameter, const std::set<std::string>& adapted) {
  const std::string module = "base_model.model." + parameter.substr(0, parameter.rfind('.'));
  const std::string first = "gate_up_proj", second = "down_proj";
  const bool nested = parameter.ends_with("." + first) &&
                      adapted.contains(parameter.substr(0, parameter.size() - first.size()) + second);
  return module + (nested ? ".base_layer" : "");
}

bool is_adaptable(const ModelSpec& spec, const TensorRef& tensor) {
  if (!tensor.is_weight()) return false;
  if (tensor.expert) return true;
  // Other routers are adapted like all linear layers.
  const Module* module = tensor.role == Role::router ? spec.find_module(tensor.module_name()) : nullptr;
  return module && module->expert;
}

/// The parameters that `target_parameters` name.
std::set<std::string> adapted_parameters(const ModelSpec& spec, const LowRankOptions& options) {
  std::set<std::string> known, adapted;
  for (const TensorRef& tensor : spec.tensors) {
    if (!is_adaptable(spec, tensor)) continue;
    known.insert(parameter_of(tensor));
    if (is_target(parameter_of(tensor), options.target_parameters)) adapted.insert(parameter_of(tensor));
  }
  for (const std::string& name : options.target_parameters) {
    const bool fits = std::ranges::any_of(known, [&](const std::string& p) { return is_target(p, {name}); });
    check(fits || options.targets.from_file, ErrorKind::invalid,
          "target_parameters: '{}' names no parameter of experts; {}", name,
          known.empty() ? "the model has none"
                        : fmt::format("the model has {} to {}", *known.begin(), *known.rbegin()));
  }
  return adapted;
}

}  // namespace

void ExpertUpdates::plan(const ModelSpec& spec, const LowRankOptions& options, TrainPlan& plan) {
  stacks_.clear();
  parts_.clear();
  modules_.clear();
  init_ = options.init;
  if (options.target_parameters.empty()) return;
  check(options.dropout == 0 && !options.lora_bias, ErrorKind::unsupported,
        "target_parameters: experts are adapted without dropout and without lora_bias");
  std::map<std::string_view, const Module*> modules;
  for (const Module& module : spec.modules) modules[module.name] = &module;
  const std::set<std::string> adapted = adapted_parameters(spec, options);
  std::map<std::string, size_t> numbers;
  for (const TensorRef& tensor : spec.tensors) {
    if (!is_adaptable(spec, tensor) || !adapted.contains(parameter_of(tensor))) continue;
    const auto [found, added] = numbers.try_emplace(parameter_of(tensor), stacks_.size());
    if (added) add_stack(tensor, key_of(found->first, adapted), options);
    Part part{found->second, 0, 0, tensor.shape[0]};
    if (tensor.expert) {
      part.expert = tensor.expert->number;
      part.first_row = tensor.expert->first_row;
      part.step = tensor.expert->step;
    }
    parts_[std::string(tensor.module_name())] = std::move(part);
    modules_.push_back(modules.at(tensor.module_name()));
  }
  for (const Stack& stack : stacks_) {
    const int64_t values = stack.rank * (stack.in + stack.out);
    plan.parameters.push_back({stack.key + ".lora_A.weight", {stack.experts * stack.rank, stack.in}});
    plan.parameters.push_back({stack.key + ".lora_B.weight", {stack.out, stack.rank * stack.experts}});
    plan.targets.push_back(stack.name);
    const int64_t used = stack.experts == 1 ? 1 : spec.experts.used;
    plan.kept_values += 2 * used * stack.rank;
    plan.macs_per_token += used * values;
    plan.resolved_values += stack.experts * values;
    plan.stacked_values += stack.experts * values;
  }
}

void ExpertUpdates::add_stack(const TensorRef& tensor, std::string key, const LowRankOptions& options) {
  Module whole;
  whole.name = parameter_of(tensor);
  Stack stack;
  stack.name = whole.name;
  stack.key = std::move(key);
  stack.rank = options.rank_of(whole);
  check(init_ != "orthogonal" || stack.rank % 2 == 0, ErrorKind::invalid,
        "init orthogonal needs an even rank, not {}", stack.rank);
  stack.scale = options.scale_of(whole, stack.rank);
  stack.experts = tensor.expert ? tensor.expert->count : 1;
  stack.in = tensor.shape[1];
  stack.out = tensor.expert ? tensor.expert->rows : tensor.shape[0];
  stacks_.push_back(std::move(stack));
}

void ExpertUpdates::bind(const ParameterSet& parameters) {
  for (Stack& stack : stacks_) {
    stack.a = parameters.at(stack.key + ".lora_A.weight");
    stack.b = parameters.at(stack.key + ".lora_B.weight");
  }
  begin_step();
}

void ExpertUpdates::initialise(uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::Generator generator = seeded_generator(derive_seed(seed, expert_stream));
  for (const Stack& stack : stacks_) {
    const at::Tensor b = stack.b.view({stack.out, stack.rank, stack.experts});
    for (int64_t e = 0; e < stack.experts; ++e)
      initialise_factors(stack.a.narrow(0, e * stack.rank, stack.rank), b.select(2, e), init_, generator);
  }
  begin_step();
}

at::Tensor ExpertUpdates::rows_of(const at::Tensor& b, const Part& part) const {
  const Stack& stack = stacks_[part.stack];
  return b.view({stack.out, stack.rank, stack.experts})
      .select(2, part.expert)
      .slice(0, part.first_row, part.first_row + part.rows * part.step, part.step);
}

void ExpertUpdates::begin_step() {
  for (Stack& stack : stacks_) {
    stack.leaves.clear();
    for (int64_t e = 0; e < stack.experts; ++e) {
      at::Tensor leaf = stack.a.detach().narrow(0, e * stack.rank, stack.rank);
      leaf.set_requires_grad(stack.a.requires_grad());
      stack.leaves.push_back(std::move(leaf));
    }
  }
  for (auto& [name, part] : parts_) {
    // A copy, since the columns lie apart in the file's form.
    const at::Tensor& b = stacks_[part.stack].b;
    part.leaf = rows_of(b.detach(), part).contiguous();
    part.leaf.set_requires_grad(b.requires_grad());
  }
}

void ExpertUpdates::end_backward() {
  const at::NoGradGuard no_grad;
  for (const Stack& stack : stacks_) {
    for (int64_t e = 0; e < stack.experts; ++e) {
      const at::Tensor& slope = stack.leaves[e].grad();
      if (slope.defined()) stack.a.grad().narrow(0, e * stack.rank, stack.rank).add_(slope);
    }
  }
  for (const auto& [name, part] : parts_) {
    const at::Tensor& slope = part.leaf.grad();
    if (slope.defined()) rows_of(stacks_[part.stack].b.grad(), part).add_(slope);
  }
}

std::vector<Patch> ExpertUpdates::patches(const Module& module) const {
  const auto found = parts_.find(module.name);
  if (found == parts_.end()) return {};
  const Part& part = found->second;
  Patch patch;
  patch.end = module.out;
  patch.A = stacks_[part.stack].leaves[part.expert];
  patch.B = part.leaf;
  patch.scale = stacks_[part.stack].scale;
  return {std::move(patch)};
}

void move_expert_targets(const ModelSpec& spec, LowRankOptions& options) {
  const auto expert = std::ranges::find_if(
      spec.tensors, [](const TensorRef& tensor) { return tensor.expert && !is_only_stacked(tensor); });
  if (expert == spec.tensors.end() || options.targets.from_file) return;
  std::vector<std::string> names;
  std::string expression;
  read_targets(options.targets.target_modules, names, expression);
  const auto take = [&](std::string_view name, std::string_view other) {
    return std::erase_if(names, [&](const std::string& n) { return n == name || n == other; }) > 0;
  };
  const auto add = [&](const char* parameter) {
    std::vector<std::string>& all = options.target_parameters;
    if (std::ranges::find(all, parameter) == all.end()) all.emplace_back(parameter);
  };
  const bool gate = take("gate_proj", "w1"), up = take("up_proj", "w3");
  check(
      gate == up, ErrorKind::invalid,
      "target_modules: the experts' gate and up are one parameter: name both gate_proj and up_proj, or none");
  if (gate) {
    add("gate_up_proj");
    constexpr const char* pattern = ".*\\.gate_up_proj";
    options.rank_pattern.emplace_back(pattern, 2 * static_cast<double>(options.rank));
    options.alpha_pattern.emplace_back(pattern, 2 * options.alpha);
  }
  if (take("down_proj", "w2")) add("down_proj");
  if (take("gate", "router")) add("gate.weight");
  if (expression.empty()) options.targets.target_modules = fmt::format("{}", fmt::join(names, ","));
}

}  // namespace lowrank
