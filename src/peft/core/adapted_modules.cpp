#include "peft/core/adapted_modules.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {

std::vector<Field> AdaptedModules::fields() {
  std::vector<Field> fields = targets.fields();
  fields.push_back(
      field("modules_to_save", modules_to_save, "parts of the model that are trained in full and saved"));
  return fields;
}

void AdaptedModules::plan(const ModelSpec& spec, TrainPlan& plan) {
  modules_.clear();
  by_name_.clear();
  targets.resolve(spec, default_roles);
  modules_to_save = with_head(spec, modules_to_save);
  for (const Module* module : select_modules(spec, targets.targets())) {
    if (is_saved_whole(module->name, modules_to_save)) continue;
    check(module->is_linear() || (adapts_embeddings && module->role == Role::embedding),
          ErrorKind::unsupported, "target_modules: {} is {}; this method adapts linear layers{}",
          module->name, module->role == Role::position ? "a table of positions" : "an embedding",
          adapts_embeddings ? " and the embedding of tokens" : "");
    by_name_[module->name] = modules_.size();
    modules_.push_back(module);
    plan.targets.push_back(module->name);
  }
  check(!modules_.empty(), ErrorKind::invalid, "target_modules: all of them are in modules_to_save");
}

void AdaptedModules::plan_saved(const ModelSpec& spec, TrainPlan& plan, const std::string& biases) {
  saved_ = {};
  std::vector<const TensorRef*> tensors = tensors_to_save(spec, modules_to_save);
  for (const TensorRef* tensor : biases_to_train(spec, biases, modules_)) tensors.push_back(tensor);
  for (const TensorRef* tensor : tensors)
    saved_.add(*tensor, saved_key(*tensor, index_of(tensor->module_name()).has_value()));
  saved_.plan(plan);
}

std::optional<size_t> AdaptedModules::index_of(std::string_view module) const {
  const auto found = by_name_.find(module);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

void AdaptedModules::write(nlohmann::json& config) const {
  targets.write(config);
  config["modules_to_save"] = modules_to_save.empty() ? nlohmann::json() : nlohmann::json(modules_to_save);
}

void AdaptedModules::read(const nlohmann::json& config, const std::string& where) {
  targets.read(config, where);
  if (!is_given(config, "modules_to_save")) return;
  std::vector<Field> own = {field("modules_to_save", modules_to_save, "")};
  apply(own, {{"modules_to_save", config["modules_to_save"]}}, where);
}

std::string adapter_key(const Module& module, std::string_view tensor) {
  return fmt::format("base_model.model.{}.{}", module.name, tensor);
}

void require_neutral(const nlohmann::json& config,
                     const std::map<std::string, std::vector<nlohmann::json>>& fields,
                     const std::string& where) {
  std::vector<std::string> problems;
  for (const auto& [name, values] : fields) {
    const auto found = config.find(name);
    if (found == config.end() || found->is_null() || std::ranges::find(values, *found) != values.end())
      continue;
    problems.push_back(fmt::format("{}: {}", name, found->dump().substr(0, 60)));
  }
  check(problems.empty(), ErrorKind::unsupported, "{}: {} is not supported", where,
        fmt::join(problems, ", "));
}

}  // namespace lowrank
