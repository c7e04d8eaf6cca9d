// LoHa (Hyeon-Woo et al. 2022, FedPara, arXiv 2108.06098): the elementwise product of two low-rank matrices,
// of rank up to r^2.
//   y = W x + b + (alpha / r) ((w1a w1b) * (w2a w2b)) x;  w.a [out, r], w.b [r, in]
// It is itself a low-rank update of rank r^2: row (i, j) of A is w1b_i * w2b_j, column (i, j) of B is w1a_i *
// w2a_j. Files are PEFT's: `base_model.model.<module>.hada_w1_a` and so on.
#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include "peft/core/low_rank_init.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"
#include "peft/low_rank/lycoris_options.h"

namespace lowrank {
namespace {

struct LoHa final : ModuleFormula {
  std::vector<Field> fields() override { return options.fields(); }
  void choose(const ModelSpec&, const AdaptedModules& modules) override { options.check_patterns(modules); }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    const int64_t r = options.rank_of(module);
    return {{"hada_w1_a", {module.out, r}},
            {"hada_w1_b", {r, module.in}},
            {"hada_w2_a", {module.out, r}},
            {"hada_w2_b", {r, module.in}}};
  }
  void initialise(const Module&, std::span<const at::Tensor> values,
                  at::Generator& generator) const override {
    for (const at::Tensor& factor : values.first(3)) uniform_by_columns(factor, generator);
    values[3].zero_();
  }

  bool resolves() const override { return true; }
  /// A [r^2, in] and B [out, r^2], or the update itself, [out, in].
  std::vector<at::Tensor> resolved(const Module& module, std::span<const at::Tensor> values) const override {
    const auto& [w1_a, w1_b, w2_a, w2_b] = std::tie(values[0], values[1], values[2], values[3]);
    if (as_matrix(module)) return {at::mm(w1_a, w1_b) * at::mm(w2_a, w2_b) * options.scale_of(module)};
    return {(w1_b.unsqueeze(1) * w2_b.unsqueeze(0)).flatten(0, 1),
            (w1_a.unsqueeze(2) * w2_a.unsqueeze(1)).flatten(1, 2)};
  }
  std::vector<Patch> patches(const Context& context, const Module& module, size_t number,
                             std::span<const at::Tensor> resolved) const override {
    if (options.skips(context, number)) return {};
    const at::Tensor mask = options.row_mask(context, module, number, true, resolved[0].device());
    Patch patch;
    if (as_matrix(module)) {
      const at::Tensor update = mask.defined() ? resolved[0] * mask.unsqueeze(1) : resolved[0];
      patch.branch = [update](const at::Tensor& x) { return at::mm(x.to(update.scalar_type()), update.t()); };
      patch.branch_is_linear = true;
      patch.branch_macs = module.in * module.out;
      return {patch};
    }
    patch.A = resolved[0];
    patch.B = mask.defined() ? resolved[1] * mask.unsqueeze(1) : resolved[1];
    patch.scale = options.scale_of(module);
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config["peft_type"] = "LOHA";
    config["use_effective_conv2d"] = false;
    options.write(config);
  }
  void read(const nlohmann::json& config, const std::string& where) override { options.read(config, where); }

  /// True if a product of rank r^2 would cost more than one with the whole update.
  bool as_matrix(const Module& module) const {
    const int64_t r = options.rank_of(module);
    return r * r * (module.in + module.out) > module.in * module.out;
  }

  LycorisOptions options;
};

constexpr OptionExample examples[] = {
    {"dropped_rows", R"({"rank_dropout": 0.3})"},
    {"dropped_modules", R"({"module_dropout": 0.4, "target_modules": "all-linear"})"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo loha_method;
const MethodInfo loha_method{"loha",
                             "Hyeon-Woo et al. 2022, arXiv 2108.06098",
                             "elementwise product of two low-rank updates",
                             2e-3,
                             make_module_method<LoHa>,
                             reads_type<"LOHA">,
                             examples};

}  // namespace lowrank
