// (IA)^3 (Liu et al. 2022, arXiv 2205.05638, section 3.3): learned vectors scale activations.
//   Attention: y = l * (W x + b), l [out]. Feed-forward: y = W (l * x) + b, l [in]. Both start at one.
// Files are PEFT's: `base_model.model.<module>.ia3_l`, [out, 1] or [1, in].
#include <set>

#include <fmt/ranges.h>

#include "peft/core/adapted_modules.h"
#include "peft/core/module_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

struct Ia3 final : ModuleFormula {
  std::vector<Field> fields() override {
    return {field("feedforward_modules", feedforward,
                  "names (or a regular expression) of the modules whose input is scaled; empty: the last "
                  "linear layer of each MLP")};
  }
  std::vector<Role> default_roles() const override {
    return {Role::key, Role::value, Role::query_key_value, Role::down};
  }
  void choose(const ModelSpec& spec, const AdaptedModules& modules) override {
    if (feedforward.empty())
      feedforward = fmt::format("{}", fmt::join(names_of_roles(spec, {Role::down}), ","));
    const TargetModules names = feedforward_names();
    input_scaled.clear();
    for (const Module* module : modules.modules()) {
      if (names_module(names.names, names.expression, module->name)) input_scaled.insert(module->name);
    }
  }

  std::vector<ParameterSpec> parameters(const Module& module) const override {
    if (scales_input(module)) return {{"ia3_l", {1, module.in}}};
    return {{"ia3_l", {module.out, 1}}};
  }
  void initialise(const Module&, std::span<const at::Tensor> values, at::Generator&) const override {
    values[0].fill_(1);
  }
  std::vector<Patch> patches(const Context&, const Module& module, size_t,
                             std::span<const at::Tensor> values) const override {
    Patch patch;
    (scales_input(module) ? patch.in_scale : patch.out_scale) = values[0].flatten();
    return {patch};
  }

  void write(nlohmann::json& config) const override {
    const TargetModules names = feedforward_names();
    config["peft_type"] = "IA3";
    config["feedforward_modules"] = write_targets(names.names, names.expression);
    config["fan_in_fan_out"] = false;
    config["init_ia3_weights"] = true;
    for (const char* absent : {"layers_to_transform", "layers_pattern"}) config.erase(absent);
  }
  void read(const nlohmann::json& config, const std::string& where) override {
    if (!is_given(config, "feedforward_modules") || config["feedforward_modules"].empty()) return;
    std::vector<std::string> names;
    std::string expression;
    read_targets(config["feedforward_modules"], where + ": feedforward_modules", names, expression);
    feedforward = expression.empty() ? fmt::format("{}", fmt::join(names, ",")) : expression;
  }

  TargetModules feedforward_names() const {
    TargetModules names;
    read_targets(feedforward, names.names, names.expression);
    return names;
  }
  bool scales_input(const Module& module) const { return input_scaled.contains(module.name); }

  std::string feedforward;
  std::set<std::string, std::less<>> input_scaled;  ///< modules whose input is scaled
};

constexpr OptionExample examples[] = {
    {"inputs", R"({"feedforward_modules": ".*"})"},
    {"all_linear", R"({"target_modules": "all-linear"})"},
    {"saved", R"({"modules_to_save": ["0"]})"},
};

}  // namespace

extern const MethodInfo ia3_method;
const MethodInfo ia3_method{"ia3",
                            "Liu et al. 2022, arXiv 2205.05638",
                            "learned scales of activations",
                            1e-2,
                            make_module_method<Ia3>,
                            reads_type<"IA3">,
                            examples};

}  // namespace lowrank
