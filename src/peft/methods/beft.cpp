// BEFT (arXiv 2509.15974): a learned vector beside the product of value projections, y = W x (+ b) + c, also
// in models that have no biases. c [1, out] starts at zero. Files are PEFT's (BEFT):
// `base_model.model.<module>.beft_bias`.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "peft/adapted_modules.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

class Beft final : public Method {
 public:
  Beft() { modules_.default_roles = {Role::value, Role::query_key_value}; }

  std::vector<Field> fields() override { return modules_.fields(); }

  TrainPlan plan(const ModelSpec& spec) override {
    TrainPlan plan;
    modules_.plan(spec, plan);
    all_have_biases_ = true;
    for (const Module* module : modules_.modules()) {
      plan.parameters.push_back({adapter_key(*module, "beft_bias"), {1, module->out}});
      all_have_biases_ &= spec.find_tensor(module->name + ".bias") != nullptr;
    }
    modules_.plan_saved(spec, plan);
    return plan;
  }
  void bind(const ParameterSet& parameters) override {
    biases_.clear();
    for (const Module* module : modules_.modules())
      biases_.push_back(parameters.at(adapter_key(*module, "beft_bias")));
    modules_.bind(parameters);
  }
  void initialise(const Checkpoint& base, uint64_t seed) override {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& bias : biases_) bias.zero_();
    modules_.initialise(base, seed);
  }

  std::optional<Patch> patch(const Context&, const Module& module) const override {
    const auto index = modules_.index_of(module.name);
    if (!index) return std::nullopt;
    Patch patch;
    patch.end = module.out;
    patch.bias = biases_[*index].flatten();
    return patch;
  }
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override {
    const auto value = modules_.saved().value(tensor);
    return value ? *value : Hooks::weight(context, tensor);
  }

  bool merges(const TensorRef& tensor) const override {
    return modules_.saved().holds(tensor) ||
           (tensor.name.ends_with(".bias") && modules_.index_of(tensor.module_name()));
  }
  /// Nothing where a module has no bias to merge into.
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override {
    if (!all_have_biases_) return std::nullopt;
    if (auto trained = modules_.saved().value(tensor)) return trained;
    return value + biases_[*modules_.index_of(tensor.module_name())].flatten();
  }

  nlohmann::json config() const override {
    nlohmann::json config = {{"peft_type", "BEFT"}, {"init_weights", true}};
    modules_.write(config);
    for (const char* absent : {"exclude_modules", "layers_to_transform", "layers_pattern"})
      if (config[absent].is_null()) config.erase(absent);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    modules_.read(config, where);
  }

 private:
  AdaptedModules modules_;
  bool all_have_biases_ = false;
  std::vector<at::Tensor> biases_;  ///< c by module
};

std::unique_ptr<Method> make() {
  return std::make_unique<Beft>();
}

bool reads(const nlohmann::json& config) {
  return config.value("peft_type", "") == "BEFT";
}

}  // namespace

extern const MethodInfo beft_method;
const MethodInfo beft_method{"beft", "arXiv 2509.15974", "biases added to value projections", 5e-3, make,
                             reads};

}  // namespace lowrank
