// DoRA (Liu et al. 2024, arXiv 2402.09353): W' = m V / ||V||, V = W + s B A, row norms, m [out] trained.
//   y = b + g W x + g s B A x with g = m / ||V||; the gradient treats the norm as a constant (section 4.3).
//   Under dropout, y = W x + b + (g - 1) W drop(x) + g s B A drop(x), as in PEFT.
// Files are LORA files with `use_dora` and `base_model.model.<module>.lora_magnitude_vector`.
#include <map>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/low_rank/low_rank_method.h"

namespace lowrank {
namespace {

std::string key(const Module& module) {
  return fmt::format("base_model.model.{}.lora_magnitude_vector", module.name);
}

/// Norms of the rows of W + s B A, [out]; W is expanded some rows at a time.
at::Tensor row_norms(const Checkpoint& base, const LowRankFactors& f) {
  constexpr int64_t values = 1 << 22;
  const at::NoGradGuard no_grad;
  const TensorRef& weight = *base.spec().find_tensor(f.module->name + ".weight");
  const int64_t rows = std::max<int64_t>(1, values / f.module->in);
  at::Tensor norms = at::empty({f.module->out}, f.a.options());
  for (int64_t begin = 0; begin < f.module->out; begin += rows) {
    const int64_t end = std::min(begin + rows, f.module->out);
    at::Tensor v = at::empty({end - begin, f.module->in}, f.a.scalar_type());
    base.read_rows(weight, begin, end, v);
    v = v.to(f.a.device());
    v.addmm_(f.b.narrow(0, begin, end - begin), f.a, 1, f.scale);
    norms.narrow(0, begin, end - begin).copy_(v.norm(2, 1));
  }
  return norms;
}

/// The magnitudes, and the norms as long as the factors do not change.
struct Magnitudes {
  const Checkpoint* base = nullptr;
  std::map<std::string, at::Tensor> m;      ///< [out] by module
  std::map<std::string, at::Tensor> norms;  ///< [out] by module; empty: not computed yet

  void compute(const LowRankUpdates& updates) {
    if (!norms.empty()) return;
    for (const LowRankFactors& f : updates.factors()) norms[f.module->name] = row_norms(*base, f);
  }
};

void add_magnitudes(TrainPlan& plan, const LowRankUpdates& updates) {
  for (const LowRankFactors& f : updates.factors()) {
    check(f.module->is_linear(), ErrorKind::unsupported,
          "target_modules: {} is an embedding, which dora does not adapt", f.module->name);
    plan.parameters.push_back({key(*f.module), {f.module->out}});
    plan.macs_per_token += f.module->out;
    plan.kept_values += 2 * f.module->out;
  }
}

std::unique_ptr<Method> make() {
  const auto state = std::make_shared<Magnitudes>();
  const auto updates = std::make_shared<const LowRankUpdates*>(nullptr);
  LowRankVariant variant;
  variant.plan = add_magnitudes;
  variant.bind = [state, updates](const ParameterSet& parameters, const LowRankUpdates& of) {
    *updates = &of;
    for (const LowRankFactors& f : of.factors()) state->m[f.module->name] = parameters.at(key(*f.module));
  };
  variant.read_base = [state](const Checkpoint& base, const LowRankUpdates&) { state->base = &base; };
  variant.initialise = [state](const Checkpoint& base, const LowRankUpdates& of) {
    const at::NoGradGuard no_grad;
    for (const LowRankFactors& f : of.factors()) state->m[f.module->name].copy_(row_norms(base, f));
    state->norms.clear();
  };
  variant.begin_step = [state, updates] { state->compute(**updates); };
  variant.after_step = [state] { state->norms.clear(); };
  variant.patch = [state](Patch& patch, const LowRankFactors& f) {
    patch.scales_bias = false;
    if (!state->base) {
      patch.out_scale = at::empty({f.module->out}, f.b.options());
      return;
    }
    // If no step has begun, the factors may still change: these norms are not kept.
    const auto known = state->norms.find(f.module->name);
    const at::Tensor norms = known == state->norms.end() ? row_norms(*state->base, f) : known->second;
    patch.out_scale = state->m.at(f.module->name) / norms;
    patch.B = patch.B * patch.out_scale.unsqueeze(1);
  };
  variant.why_not_unmerged =
      "its rows are scaled by m / ||W + s B A||, and the merged model no longer holds the norms";
  variant.form = [](LowRankForm form) {
    form.beside.emplace_back("magnitudes of rows");
    return form;
  };
  variant.config = [](nlohmann::json& config) { config["use_dora"] = true; };
  variant.read_config = [](nlohmann::json& config, const std::string& where) {
    check(!is_given(config, "lora_bias") || config["lora_bias"] == false, ErrorKind::unsupported,
          "{}: lora_bias with use_dora is not supported", where);
    config["use_dora"] = false;
  };
  return make_low_rank_method(std::move(variant));
}

bool reads(const nlohmann::json& config) {
  return is_low_rank_config(config, true, {"", "gaussian", "orthogonal", "eva", "loftq", "corda", "lora_ga"});
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"all_linear", R"({"target_modules": "all-linear", "rank": 3})"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
    {"bias_all", R"({"bias": "all"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo dora_method;
const MethodInfo dora_method{"dora",
                             "Liu et al. 2024, arXiv 2402.09353",
                             "low-rank update of directions, with trained magnitudes",
                             5e-4,
                             make,
                             reads,
                             examples};

}  // namespace lowrank
