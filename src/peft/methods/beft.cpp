// BEFT (arXiv 2509.15974): a learned vector added to the product of value projections, y = W x (+ b) + c,
// also in models without biases. c [1, out] starts at zero. Files are PEFT's (BEFT):
// `base_model.model.<module>.beft_bias`.
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

struct Beft final : ModuleFormula {
  std::vector<Role> default_roles() const override { return {Role::value, Role::query_key_value}; }
  std::vector<ParameterSpec> parameters(const Module& module) const override {
    return {{"beft_bias", {1, module.out}}};
  }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].zero_();
  }
  std::vector<Patch> patches(const Context&, const Module&, size_t,
                             std::span<const at::Tensor> values) const override {
    Patch patch;
    patch.bias = values[0].flatten();
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    config["peft_type"] = "BEFT";
    config["init_weights"] = true;
    for (const char* absent : {"exclude_modules", "layers_to_transform", "layers_pattern"})
      if (config[absent].is_null()) config.erase(absent);
  }
  void read(const nlohmann::json&, const std::string&) override {}
};

}  // namespace

extern const MethodInfo beft_method;
const MethodInfo beft_method{"beft", "arXiv 2509.15974",       "biases added to value projections",
                             5e-3,   make_module_method<Beft>, reads_type<"BEFT">};

}  // namespace lowrank
