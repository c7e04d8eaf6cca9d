#include "peft/low_rank/residual_factors.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "peft/core/low_rank_form.h"
#include "peft/core/target_options.h"

namespace lowrank {
namespace {

using Starts = std::map<std::string, StartFactors>;  ///< by module

at::Tensor both_a(const at::Tensor& a, const StartFactors& start) {
  return at::cat({a, start.a.to(a.scalar_type())});
}
at::Tensor both_b(const at::Tensor& b, const StartFactors& start) {
  return at::cat({b, -start.b.to(b.scalar_type())}, 1);
}

/// The configuration of a plain adapter of twice the rank with the same factor s.
void double_rank(nlohmann::json& config) {
  const double factor = config["use_rslora"] == true ? std::sqrt(2.0) : 2.0;
  config["r"] = 2 * config["r"].get<int64_t>();
  config["lora_alpha"] = json_number(factor * config["lora_alpha"].get<double>());
  for (auto& [name, rank] : config["rank_pattern"].items()) rank = 2 * rank.get<int64_t>();
  for (auto& [name, alpha] : config["alpha_pattern"].items())
    alpha = json_number(factor * alpha.get<double>());
  config["init_lora_weights"] = true;
}

std::vector<FileTensor> doubled(std::vector<FileTensor> tensors, const Starts& starts) {
  for (const auto& [module, start] : starts) {
    for (FileTensor& tensor : tensors) {
      if (tensor.name == fmt::format("base_model.model.{}.lora_A.weight", module))
        tensor.value = both_a(tensor.value, start);
      if (tensor.name == fmt::format("base_model.model.{}.lora_B.weight", module))
        tensor.value = both_b(tensor.value, start);
    }
  }
  return tensors;
}

LowRankForm doubled(LowRankForm form, const Starts& starts) {
  for (LowRankUpdate& update : form.updates) {
    const auto start = starts.find(update.module->name);
    update.rank *= 2;
    update.alpha *= 2;
    if (start == starts.end() || !update.a.defined()) continue;
    update.a = both_a(update.a.detach(), start->second);
    update.b = both_b(update.b.detach(), start->second);
  }
  return form;
}

}  // namespace

std::unique_ptr<Method> make_residual_method(
    LowRankVariant variant, std::function<StartFactors(const at::Tensor&, int64_t, double)> start) {
  const auto starts = std::make_shared<Starts>();
  variant.plan = [](TrainPlan& plan, const LowRankUpdates& updates) {
    plan.macs_per_token *= 2;  // also for the constant pair
    for (const Module* module : updates.modules()) {
      check(module->is_linear(), ErrorKind::unsupported,
            "target_modules: {} is an embedding; this method adapts linear layers", module->name);
    }
  };
  variant.read_base = [starts, start = std::move(start)](const Checkpoint& base,
                                                         const LowRankUpdates& updates) {
    const at::NoGradGuard no_grad;
    for (const LowRankFactors& f : updates.factors()) {
      StartFactors& own = (*starts)[f.module->name];
      if (!own.a.defined() || own.a.size(0) != f.rank) {
        const at::Tensor weight = base.read(*base.spec().find_tensor(f.module->name + ".weight"), at::kFloat);
        own = start(weight, f.rank, f.scale);
      }
      own = {own.a.to(f.a.device()), own.b.to(f.b.device())};
    }
  };
  variant.initialise = [starts](const Checkpoint&, const LowRankUpdates& updates) {
    const at::NoGradGuard no_grad;
    for (const LowRankFactors& f : updates.factors()) {
      f.a.copy_(starts->at(f.module->name).a);
      f.b.copy_(starts->at(f.module->name).b);
    }
  };
  variant.patch = [starts](Patch& patch, const LowRankFactors& f) {
    const auto found = starts->find(f.module->name);
    if (found == starts->end()) return;
    patch.A = both_a(f.a, found->second);
    patch.B = both_b(f.b, found->second);
  };
  variant.why_not_unmerged =
      "its starting factors are computed from the base's own weights, which the merged model no longer "
      "holds; "
      "`lowrank export` of the adapter on the base, as peft, writes it without them";
  variant.form = [starts](LowRankForm form) { return doubled(std::move(form), *starts); };
  variant.file_tensors = [starts](std::vector<FileTensor> planned) {
    return doubled(std::move(planned), *starts);
  };
  variant.config = double_rank;
  variant.read_config = [own = variant.read_config](nlohmann::json& config, const std::string& where) {
    if (own) own(config, where);
    config["init_lora_weights"] = true;
  };
  return make_low_rank_method(std::move(variant));
}

}  // namespace lowrank
