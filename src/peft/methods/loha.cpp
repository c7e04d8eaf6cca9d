// LoHa (Hyeon-Woo et al. 2022, FedPara, arXiv 2108.06098): a product of two low-rank matrices, element by
// element, of rank up to r^2.
//   y = W x + b + (alpha / r) ((w1a w1b) * (w2a w2b)) x;  w.a [out, r], w.b [r, in]
// It is a low-rank update of rank r^2 itself: row (i, j) of A is w1b_i * w2b_j, column (i, j) of B w1a_i *
// w2a_j. Files are PEFT's: `base_model.model.<module>.hada_w1_a` and so on.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>

#include "peft/low_rank_init.h"
#include "peft/lycoris_options.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

/// The factors of one module.
struct Factors {
  at::Tensor w1_a, w1_b, w2_a, w2_b;

  at::Tensor update() const { return at::mm(w1_a, w1_b) * at::mm(w2_a, w2_b); }
  /// A [r^2, in] and B [out, r^2].
  at::Tensor a() const { return (w1_b.unsqueeze(1) * w2_b.unsqueeze(0)).flatten(0, 1); }
  at::Tensor b() const { return (w1_a.unsqueeze(2) * w2_a.unsqueeze(1)).flatten(1, 2); }
};

class LoHa final : public Method {
 public:
  std::vector<Field> fields() override {
    std::vector<Field> fields = options_.fields();
    for (Field& field : modules_.fields()) fields.push_back(std::move(field));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    options_.check_patterns(modules_);
    for (const Module* module : modules_.modules()) {
      const int64_t r = options_.rank_of(*module);
      plan.parameters.push_back({adapter_key(*module, "hada_w1_a"), {module->out, r}});
      plan.parameters.push_back({adapter_key(*module, "hada_w1_b"), {r, module->in}});
      plan.parameters.push_back({adapter_key(*module, "hada_w2_a"), {module->out, r}});
      plan.parameters.push_back({adapter_key(*module, "hada_w2_b"), {r, module->in}});
      plan.multiply_adds +=
          as_matrix(*module, r) ? module->in * module->out : r * r * (module->in + module->out);
    }
    modules_.plan_saved(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    factors_.clear();
    for (const Module* module : modules_.modules()) {
      const auto at = [&](const char* name) { return parameters.at(adapter_key(*module, name)); };
      factors_.push_back({at("hada_w1_a"), at("hada_w1_b"), at("hada_w2_a"), at("hada_w2_b")});
    }
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    at::Generator generator = seeded_generator(seed);
    for (const Factors& f : factors_) {
      for (const at::Tensor& factor : {f.w1_a, f.w1_b, f.w2_a}) uniform_by_columns(factor, generator);
      f.w2_b.zero_();
    }
    modules_.initialise(base, seed);
  }

  std::optional<Patch> patch(const Context& context, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index || options_.skips(context, *index)) return std::nullopt;
    const Factors& f = factors_[*index];
    const double scale = options_.scale_of(module);
    const at::Tensor mask = options_.row_mask(context, module, *index, true);
    Patch patch;
    patch.end = module.out;
    const int64_t r = f.w1_b.size(0);
    if (as_matrix(module, r)) {
      at::Tensor update = f.update() * scale;  // [out, in]
      if (mask.defined()) update = update * mask.unsqueeze(1);
      patch.branch = [update](const at::Tensor& x) { return at::mm(x.to(update.scalar_type()), update.t()); };
      return patch;
    }
    patch.A = f.a();
    patch.B = mask.defined() ? f.b() * mask.unsqueeze(1) : f.b();
    patch.scale = scale;
    return patch;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    const auto value = modules_.saved().value(tensor);
    return value ? *value : Hooks::weight(context, tensor);
  }

  bool merges(const TensorRef& tensor) const override { return modules_.merges(tensor); }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    if (auto trained = modules_.saved().value(tensor)) return trained;
    const size_t index = *modules_.index_of(tensor.module_name());
    return value + factors_[index].update() * options_.scale_of(*modules_.modules()[index]);
  }

  nlohmann::json config() const override {
    nlohmann::json config = {{"peft_type", "LOHA"}, {"use_effective_conv2d", false}};
    options_.write(config, modules_.modules());
    modules_.write(config);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    options_.read(config, where);
    modules_.read(config, where);
  }

 private:
  /// Where a product of rank r^2 would cost more than one with the whole update.
  static bool as_matrix(const Module& module, int64_t r) {
    return r * r * (module.in + module.out) > module.in * module.out;
  }

  LycorisOptions options_;
  AdaptedModules modules_;
  std::vector<Factors> factors_;
};

std::unique_ptr<Method> make() {
  return std::make_unique<LoHa>();
}

bool reads(const nlohmann::json& config) {
  return config.value("peft_type", "") == "LOHA";
}

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
                             1e-3,
                             make,
                             reads,
                             examples};

}  // namespace lowrank
