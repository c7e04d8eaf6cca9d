// (IA)^3 (Liu et al. 2022, arXiv 2205.05638, section 3.3): learned vectors scale activations.
//   Attention: y = l * (W x + b), l [out]. Feed-forward: y = W (l * x) + b, l [in]. Both start at one.
// Files are PEFT's: `base_model.model.<module>.ia3_l`, [out, 1] or [1, in].
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "peft/adapted_modules.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

class Ia3 final : public Method {
 public:
  Ia3() { modules_.default_roles = {Role::key, Role::value, Role::query_key_value, Role::down}; }

  std::vector<Field> fields() override {
    std::vector<Field> fields = modules_.fields();
    fields.push_back(
        field("feedforward_modules", feedforward_,
              "names whose input is scaled, or a regular expression; empty: the ends of the MLPs"));
    return fields;
  }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    scales_input_.clear();
    if (feedforward_.empty())
      feedforward_ = fmt::format("{}", fmt::join(names_of_roles(spec, {Role::down}), ","));
    TargetModules feedforward;
    read_targets(feedforward_, feedforward.names, feedforward.expression);
    for (const Module* module : modules_.modules()) {
      const bool scales_input = names_module(feedforward.names, feedforward.expression, module->name);
      scales_input_.push_back(scales_input);
      plan.parameters.push_back({adapter_key(*module, "ia3_l"), scales_input
                                                                    ? std::vector<int64_t>{1, module->in}
                                                                    : std::vector<int64_t>{module->out, 1}});
      plan.multiply_adds += scales_input ? module->in : module->out;
    }
    modules_.plan_saved(spec, plan);
    return plan;
  }

  void bind(const ParameterSet& parameters) override {
    scales_.clear();
    for (const Module* module : modules_.modules())
      scales_.push_back(parameters.at(adapter_key(*module, "ia3_l")));
    modules_.bind(parameters);
  }

  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& scale : scales_) scale.fill_(1);
    modules_.initialise(base, seed);
  }

  std::optional<Patch> patch(const Context&, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index) return std::nullopt;
    Patch patch;
    patch.end = module.out;
    (scales_input_[*index] ? patch.in_scale : patch.out_scale) = scales_[*index].flatten();
    return patch;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    const auto value = modules_.saved().value(tensor);
    return value ? *value : Hooks::weight(context, tensor);
  }

  bool merges(const TensorRef& tensor) const override {
    // The bias of a scaled output is scaled, too.
    const auto index = modules_.index_of(tensor.module_name());
    return modules_.merges(tensor) || (index && !scales_input_[*index]);
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    if (auto trained = modules_.saved().value(tensor)) return trained;
    const at::Tensor& scale = scales_[*modules_.index_of(tensor.module_name())];
    return value * (tensor.is_weight() ? scale : scale.flatten());
  }

  nlohmann::json config() const override {
    TargetModules feedforward;
    read_targets(feedforward_, feedforward.names, feedforward.expression);
    nlohmann::json config = {
        {"peft_type", "IA3"},
        {"feedforward_modules", write_targets(feedforward.names, feedforward.expression)},
        {"fan_in_fan_out", false},
        {"init_ia3_weights", true}};
    modules_.write(config);
    for (const char* absent : {"layers_to_transform", "layers_pattern"}) config.erase(absent);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    modules_.read(config, where);
    if (!is_given(config, "feedforward_modules") || config["feedforward_modules"].empty()) return;
    std::vector<std::string> names;
    std::string expression;
    read_targets(config["feedforward_modules"], where + ": feedforward_modules", names, expression);
    feedforward_ = expression.empty() ? fmt::format("{}", fmt::join(names, ",")) : expression;
  }

 private:
  AdaptedModules modules_;
  std::string feedforward_;
  std::vector<bool> scales_input_;  ///< by module
  std::vector<at::Tensor> scales_;  ///< l by module
};

std::unique_ptr<Method> make() {
  return std::make_unique<Ia3>();
}

bool reads(const nlohmann::json& config) {
  return config.value("peft_type", "") == "IA3";
}

constexpr OptionExample examples[] = {
    {"inputs", R"({"feedforward_modules": ".*"})"},
    {"all_linear", R"({"target_modules": "all-linear"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo ia3_method;
const MethodInfo ia3_method{
    "ia3", "Liu et al. 2022, arXiv 2205.05638", "learned scales of activations", 5e-3, make, reads, examples};

}  // namespace lowrank
