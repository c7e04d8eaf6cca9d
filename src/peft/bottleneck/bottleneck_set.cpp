#include "peft/bottleneck/bottleneck_set.h"

#include <ATen/core/grad_mode.h>

#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

size_t slot(int layer, Role branch) {
  return 2 * static_cast<size_t>(layer) + (branch == Role::down ? 1 : 0);
}

}  // namespace

BottleneckSet::BottleneckSet(const BottleneckConfig& config, const ModelSpec& spec, std::string name)
    : config_(config), name_(std::move(name)), sites_(bottleneck_sites(spec, config)) {
  const std::string rule = shared_rule_name(spec, name_);
  if (config.phm_layer && config.shared_phm_rule) rule_name_ = rule;
  index_.assign(2 * static_cast<size_t>(spec.layers), -1);
  for (const BottleneckSite& site : sites_) {
    index_[slot(site.layer, site.branch)] = std::ssize(units_);
    units_.emplace_back(config, spec.hidden_size, site.adapter_prefix(name_), rule);
  }
}

void BottleneckSet::plan(TrainPlan& plan, bool frozen) const {
  for (const Bottleneck& unit : units_) unit.plan(plan, frozen);
  if (rule_name_.empty()) return;
  const int64_t n = config_.phm_dim;
  ParameterSpec rule{rule_name_, {n, n, n}};
  rule.frozen = frozen;
  plan.parameters.push_back(std::move(rule));
}

void BottleneckSet::bind(const ParameterSet& parameters) {
  for (Bottleneck& unit : units_) unit.bind(parameters);
  if (!rule_name_.empty()) rule_ = parameters.at(rule_name_);
}

void BottleneckSet::initialise(uint64_t seed) const {
  const at::NoGradGuard no_grad;
  at::Generator generator = seeded_generator(seed);
  for (const Bottleneck& unit : units_) unit.initialise(generator);
  if (rule_.defined()) rule_.normal_(0, config_.phm_init_range, generator);
}

const Bottleneck* BottleneckSet::at(int layer, Role branch) const {
  const int64_t index = index_[slot(layer, branch)];
  return index < 0 ? nullptr : &units_[index];
}

}  // namespace lowrank
