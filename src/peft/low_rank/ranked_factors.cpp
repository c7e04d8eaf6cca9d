#include "peft/low_rank/ranked_factors.h"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/norm.h>
#include <fmt/format.h>

#include "base/rng.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/low_rank_init.h"

namespace lowrank {

at::Tensor RankedFactors::score() const {
  return of_e.score().flatten() + of_a.score().mean(1) + of_b.score().mean(0);
}

std::string pattern_key(const Module& module) {
  return module.name + ".lora_E";
}

std::vector<ParameterSpec> RankedFactorSet::parameters(const Module& module, int64_t r) {
  return {{adapter_key(module, "lora_A"), {r, module.in}},
          {adapter_key(module, "lora_B"), {module.out, r}},
          {adapter_key(module, "lora_E"), {r, 1}}};
}

void RankedFactorSet::take(const std::vector<const Module*>& modules, const ParameterSet& parameters) {
  modules_ = modules;
  factors_.clear();
  for (const Module* module : modules_) {
    const auto at = [&](const char* name) { return parameters.at(adapter_key(*module, name)); };
    factors_.push_back({at("lora_A"), at("lora_B"), at("lora_E"), {}, {}, {}, {}});
  }
}

std::vector<at::Tensor> RankedFactorSet::scaled_rows() const {
  std::vector<at::Tensor> rows;
  for (const RankedFactors& f : factors_) rows.push_back(f.a * f.e);
  return rows;
}

void RankedFactorSet::initialise(double deviation, uint64_t seed) const {
  const at::NoGradGuard no_grad;
  at::Generator generator = seeded_generator(seed);
  for (const RankedFactors& f : factors_) {
    f.e.zero_();
    f.a.normal_(0, deviation, generator);
    f.b.normal_(0, deviation, generator);
  }
}

at::Tensor RankedFactorSet::orthogonality(double weight) const {
  at::Tensor sum;
  const auto add = [&](const at::Tensor& gram) {
    const at::Tensor distance = (gram - at::eye(gram.size(0), gram.options())).norm();
    sum = sum.defined() ? sum + distance : distance;
  };
  for (const RankedFactors& f : factors_) {
    add(at::mm(f.a, f.a.t()));
    add(at::mm(f.b.t(), f.b));
  }
  return sum * (weight / (2 * static_cast<double>(factors_.size())));
}

void RankedFactorSet::measure(double gradient_scale, double beta1, double beta2) {
  for (RankedFactors& f : factors_) {
    f.of_a.update(f.a, f.a.grad() * gradient_scale, beta1, beta2);
    f.of_b.update(f.b, f.b.grad() * gradient_scale, beta1, beta2);
    f.of_e.update(f.e, f.e.grad() * gradient_scale, beta1, beta2);
  }
}

void RankedFactorSet::allocate(const BudgetSchedule& schedule, int64_t step) {
  std::vector<at::Tensor> scores;
  for (const RankedFactors& f : factors_) scores.push_back(f.score());
  const std::vector<at::Tensor> kept = kept_ranks(scores, schedule.budget(step, std::ssize(factors_)));
  for (size_t i = 0; i < kept.size(); ++i) factors_[i].kept = kept[i];
}

void RankedFactorSet::clear_dropped() const {
  for (const RankedFactors& f : factors_) {
    if (f.kept.defined()) f.e.mul_(f.kept.unsqueeze(1));
  }
}

std::vector<FileTensor> RankedFactorSet::state() const {
  std::vector<FileTensor> state;
  for (size_t i = 0; i < factors_.size(); ++i) {
    const RankedFactors& f = factors_[i];
    const auto add = [&](const std::string& name, const at::Tensor& value) {
      if (value.defined()) state.push_back({adapter_key(*modules_[i], name), value.to(at::kFloat)});
    };
    add("kept", f.kept);
    for (const auto& [name, importance] :
         {std::pair("lora_A", &f.of_a), {"lora_B", &f.of_b}, {"lora_E", &f.of_e}}) {
      add(fmt::format("{}.sensitivity", name), importance->sensitivity());
      add(fmt::format("{}.uncertainty", name), importance->uncertainty());
    }
  }
  return state;
}

void RankedFactorSet::set_state(const std::vector<FileTensor>& state) {
  std::map<std::string, at::Tensor> by_name;
  for (const FileTensor& tensor : state) by_name.emplace(tensor.name, tensor.value);
  for (size_t i = 0; i < factors_.size(); ++i) {
    RankedFactors& f = factors_[i];
    const auto found = [&](const std::string& name) {
      const auto at = by_name.find(adapter_key(*modules_[i], name));
      return at == by_name.end() ? at::Tensor() : at->second.to(f.a.device());
    };
    const at::Tensor kept = found("kept");
    f.kept = kept.defined() ? kept.to(at::kBool) : at::Tensor();
    for (const auto& [name, importance] :
         {std::pair(std::string("lora_A"), &f.of_a), {"lora_B", &f.of_b}, {"lora_E", &f.of_e}})
      importance->restore(found(name + ".sensitivity"), found(name + ".uncertainty"));
  }
}

std::vector<FileTensor> RankedFactorSet::without_dropped(std::vector<FileTensor> planned) const {
  for (size_t i = 0; i < factors_.size(); ++i) {
    const at::Tensor& kept = factors_[i].kept;
    if (!kept.defined()) continue;
    const at::Tensor rows = kept.nonzero().flatten();
    const Module& module = *modules_[i];
    for (FileTensor& tensor : planned) {
      if (tensor.name == adapter_key(module, "lora_B")) {
        tensor.value = tensor.value.index_select(1, rows);
      } else if (tensor.name == adapter_key(module, "lora_A") ||
                 tensor.name == adapter_key(module, "lora_E")) {
        tensor.value = tensor.value.index_select(0, rows);
      }
    }
  }
  return planned;
}

void RankedFactorSet::write_pattern(nlohmann::json& pattern) const {
  for (size_t i = 0; i < factors_.size(); ++i) {
    const at::Tensor& kept = factors_[i].kept;
    for (int64_t j = 0; kept.defined() && j < kept.numel(); ++j)
      pattern[pattern_key(*modules_[i])][j] = kept[j].item<bool>();
  }
}

}  // namespace lowrank
