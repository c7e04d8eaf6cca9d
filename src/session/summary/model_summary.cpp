#include "session/summary/model_summary.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/target_modules.h"
#include "peft/files/adapter_file.h"
#include "session/fine_tune/fine_tune_options.h"

namespace lowrank {
namespace {

/// A name without what tells the layer and the expert: `model.layers.3.mlp.experts.7.up_proj` becomes
/// `mlp.experts.*.up_proj`.
std::string end_of(std::string_view name) {
  std::string end;
  for (size_t begin = 0; begin < name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, dot - begin);
    const bool number =
        !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    // The first number is the layer's.
    if (number && end.find('*') == std::string::npos)
      end = "*";
    else
      end += fmt::format("{}{}", end.empty() ? "" : ".", number ? "*" : part);
    begin = dot + 1;
  }
  return end.starts_with("*.") ? end.substr(2) : end;
}

void count(std::vector<ModelParts>& parts, const std::string& name) {
  const auto found = std::ranges::find(parts, name, &ModelParts::name);
  if (found == parts.end())
    parts.push_back({name, 1});
  else
    ++found->count;
}

/// Why the default method does not adapt a module, where it is none of the linear layers that others do.
std::string_view reason_of(const Module& module, bool in_all_linear) {
  if (module.role == Role::router) return "routers: frozen, unless target_parameters names their weight";
  if (module.expert) return "experts: frozen, unless target_parameters names their matrices";
  if (in_all_linear) return "linear layers that target_modules all-linear adapts, too";
  if (module.role == Role::head) return "the head: target_modules or modules_to_save can name it";
  if (module.role == Role::embedding || module.role == Role::position)
    return "tables of rows: target_modules or modules_to_save can name them";
  return "other modules, which target_modules can name";
}

std::string_view reason_of(const TensorRef& tensor) {
  if (tensor.name.ends_with(".bias"))
    return "biases: they train with bias all, or with methods for all weights";
  switch (tensor.role) {
    case Role::recurrence:
      return "convolutions and decays: they train only with methods for all weights";
    case Role::norm:
      return "norms: modules_to_save can name them; methods for all weights train them";
    case Role::sink:
      return "sinks of attention: they train only with methods for all weights";
    case Role::constant:
      return "constants, which nothing trains";
    default:
      return "other tensors: they train only with methods for all weights";
  }
}

class LeftOutList {
 public:
  void add(std::string_view why, const std::string& name) {
    auto found = std::ranges::find(list_, why, &LeftOut::why);
    if (found == list_.end()) {
      list_.push_back({{}, std::string(why)});
      found = std::prev(list_.end());
    }
    count(found->parts, name);
  }
  std::vector<LeftOut> take() { return std::move(list_); }

 private:
  std::vector<LeftOut> list_;
};

/// What adapters by default change: the names of modules. Empty, with the reason, where nothing fits.
std::set<std::string> plan_default(const ModelSpec& spec, ModelSummary& summary) try {
  const MethodInfo& info = method_named(summary.method);
  const Adapter adapter = plan_adapter(info, info.make(), spec);
  summary.trained = parameter_count(adapter.plan);
  std::set<std::string> names;
  for (const Module* module : adapter.method->adapted()) {
    names.insert(module->name);
    count(summary.adapted, end_of(module->name));
  }
  return names;
} catch (const Error& error) {
  summary.why_none = error.what();
  return {};
}

std::set<std::string> all_linear_modules(const ModelSpec& spec) try {
  TargetModules targets;
  targets.expression = all_linear;
  std::set<std::string> names;
  for (const Module* module : select_modules(spec, targets)) names.insert(module->name);
  return names;
} catch (const Error&) {
  return {};
}

nlohmann::ordered_json json_of(const std::vector<ModelParts>& parts) {
  auto list = nlohmann::ordered_json::array();
  for (const ModelParts& part : parts) list.push_back({{"name", part.name}, {"count", part.count}});
  return list;
}

}  // namespace

nlohmann::ordered_json ModelSummary::to_json() const {
  nlohmann::ordered_json json = {{"family", family},
                                 {"default_method", method},
                                 {"adapted", json_of(adapted)},
                                 {"trained_parameters", trained}};
  if (!why_none.empty()) json["why_none"] = why_none;
  json["left_out"] = nlohmann::ordered_json::array();
  for (const LeftOut& left : left_out)
    json["left_out"].push_back({{"parts", json_of(left.parts)}, {"why", left.why}});
  return json;
}

ModelSummary summarise_model(const ModelSpec& spec, const std::vector<StoredTensor>& tensors) {
  ModelSummary summary;
  summary.family = spec.family;
  summary.method = FineTuneOptions().method;
  const std::set<std::string> adapted = plan_default(spec, summary), linear = all_linear_modules(spec);
  LeftOutList left;
  std::set<std::string_view> modules;
  for (const Module& module : spec.modules) {
    modules.insert(module.name);
    if (adapted.contains(module.name)) continue;
    const bool tied = module.role == Role::head && spec.tied_head;
    left.add(
        tied ? "the head, which is the embedding's matrix" : reason_of(module, linear.contains(module.name)),
        end_of(module.name));
  }
  for (const TensorRef& tensor : spec.tensors) {
    const bool weight = modules.contains(tensor.module_name()) && !tensor.name.ends_with(".bias");
    if (weight || (tensor.expert && tensor.name.ends_with(".bias"))) continue;
    left.add(reason_of(tensor), end_of(tensor.name));
  }
  for (const auto& [prefixes, why] :
       {std::pair{&spec.other_towers,
                  "not read: other parts than the text model, or predictions of further tokens"},
        std::pair{&spec.ignored, "not read: heads of other tasks"}}) {
    for (const std::string& prefix : *prefixes) {
      for (const StoredTensor& tensor : tensors) {
        if (tensor.name.starts_with(prefix)) left.add(why, prefix + "*");
      }
    }
  }
  summary.left_out = left.take();
  return summary;
}

}  // namespace lowrank
