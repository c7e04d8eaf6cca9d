// LayerNorm tuning (Zhao et al. 2023, arXiv 2312.11420): the weights and biases of norms are trained from the
// base's values. Files are PEFT's (LN_TUNING): `base_model.model.<norm>.ln_tuning_layers.weight` and `.bias`.
#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/registry.h"
#include "peft/core/subset_method.h"
#include "tokenizer/steps/pattern.h"

namespace lowrank {
namespace {

/// The last parts of the names of all norms, without duplicates.
std::vector<std::string> names_of_norms(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const TensorRef& tensor : spec.tensors) {
    const std::string_view module = tensor.module_name();
    const std::string name(module.substr(module.rfind('.') + 1));
    if (tensor.role == Role::norm && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

/// PEFT's rule: a full name or a dotted suffix of it, or an expression that matches the full name.
bool names_norm(const std::string& targets, std::string_view module) {
  std::vector<std::string> names;
  std::string expression;
  read_targets(targets, names, expression);
  if (!expression.empty()) return Pattern(expression, "target_modules").matches(module);
  return std::ranges::any_of(
      names, [&](const std::string& name) { return module == name || module.ends_with("." + name); });
}

class LayerNormTuning final : public SubsetMethod {
 public:
  std::vector<Field> fields() override {
    return {field("target_modules", targets_.target_modules,
                  "names of norms, or a regular expression; empty: all norms"),
            field("exclude_modules", targets_.exclude_modules, "norms that are not trained")};
  }
  Output output() const override { return Output::adapter; }
  AdapterFileNames names() const override { return {}; }

  nlohmann::json config() const override {
    nlohmann::json config = {{"peft_type", "LN_TUNING"},
                             {"modules_to_save", head_.empty() ? nlohmann::json() : nlohmann::json(head_)}};
    targets_.write(config);
    for (const char* absent : {"layers_to_transform", "layers_pattern"}) config.erase(absent);
    return config;
  }
  void read_config(const nlohmann::json& config, const std::string& where) override {
    require_neutral(config, {{"modules_to_save", {nlohmann::json::array(), {"classifier", "score"}}}}, where);
    targets_.read(config, where);
  }

 protected:
  std::vector<const TensorRef*> chosen(const ModelSpec& spec) override {
    head_ = with_head(spec, {});
    if (targets_.target_modules.empty())
      targets_.target_modules = fmt::format("{}", fmt::join(names_of_norms(spec), ","));
    std::vector<const TensorRef*> tensors;
    for (const TensorRef& tensor : spec.tensors) {
      if (tensor.role != Role::norm || !names_norm(targets_.target_modules, tensor.module_name())) continue;
      if (targets_.exclude_modules.empty() || !names_norm(targets_.exclude_modules, tensor.module_name()))
        tensors.push_back(&tensor);
    }
    check(!tensors.empty(), ErrorKind::invalid, "target_modules: '{}' names no norm; the model's are {}",
          targets_.target_modules, fmt::join(names_of_norms(spec), ", "));
    return tensors;
  }
  std::string key(const TensorRef& tensor) const override {
    if (tensor.role != Role::norm) return saved_key(tensor, false);
    return fmt::format("base_model.model.{}.ln_tuning_layers{}", tensor.module_name(),
                       tensor.name.substr(tensor.name.rfind('.')));
  }

 private:
  TargetOptions targets_;
  std::vector<std::string> head_;  ///< modules of a label head, which is trained in full
};

std::unique_ptr<Method> make() {
  return std::make_unique<LayerNormTuning>();
}

}  // namespace

extern const MethodInfo layer_norm_method;
const MethodInfo layer_norm_method{
    "layer_norm", "Zhao et al. 2023, arXiv 2312.11420", "the norms", 1e-3, make, reads_type<"LN_TUNING">};

}  // namespace lowrank
