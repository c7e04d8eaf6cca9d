#include "peft/core/target_modules.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "peft/core/stacked_experts.h"
#include "tokenizer/steps/pattern.h"

namespace lowrank {
namespace {

bool named_by(const std::string& module, const std::string& name) {
  return module == name || module.ends_with("." + name);
}

bool any_names(const std::string& module, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [&](const std::string& name) { return named_by(module, name); });
}

/// The layer number that PEFT finds in a name: after `layers_pattern`, or after at least two parts of the
/// name.
int layer_in(const std::string& module, const std::vector<std::string>& patterns) {
  std::vector<std::string> expressions{R"(.*?\.[^.]*\.)"};
  if (!patterns.empty()) {
    expressions.clear();
    for (const std::string& pattern : patterns) expressions.push_back(R"((?:|.*?\.))" + pattern + R"(\.)");
  }
  for (size_t at = 0; at < module.size(); ++at) {
    const size_t end = module.find('.', at);
    const bool is_number =
        end != std::string::npos && end > at && end - at < 9 &&
        std::all_of(module.begin() + static_cast<int64_t>(at), module.begin() + static_cast<int64_t>(end),
                    [](char c) { return c >= '0' && c <= '9'; });
    const bool at_part = at == 0 || module[at - 1] == '.';
    if (!at_part || !is_number) continue;
    for (const std::string& expression : expressions) {
      if (Pattern(expression, "layers_pattern").matches(module.substr(0, at))) {
        return std::stoi(module.substr(at, end - at));
      }
    }
  }
  return -1;
}

bool in_layers(const Module& module, const TargetModules& targets) {
  if (targets.layers.empty()) return true;
  const int layer = layer_in(module.name, targets.layers_pattern);
  return std::ranges::find(targets.layers, layer) != targets.layers.end();
}

bool is_all_linear(const TargetModules& targets) {
  std::string word = targets.expression;
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word == all_linear;
}

/// Last parts of the model's module names: q_proj, v_proj, …
std::vector<std::string> short_names(const ModelSpec& spec) {
  std::set<std::string> names;
  for (const Module& module : spec.modules) names.insert(module.name.substr(module.name.rfind('.') + 1));
  return {names.begin(), names.end()};
}

/// Refuses targets that select experts. Of `all-linear`, as everywhere, they are no part, nor are they of
/// names that select other modules too where PEFT knows experts as stacks only.
void check_no_experts(const ModelSpec& spec, const std::function<bool(const std::string&)>& selects) {
  const auto refuse = [&](std::string_view name) {
    check(!selects(std::string(name)), ErrorKind::unsupported,
          "target_modules: {} belongs to a mixture of experts, which only LoRA adapts (`target_parameters`); "
          "choose layers of attention or of dense MLPs",
          name);
  };
  const bool only_stacked = std::ranges::any_of(spec.tensors, is_only_stacked);
  const bool selects_others = std::ranges::any_of(
      spec.modules, [&](const Module& module) { return !module.expert && selects(module.name); });
  if (only_stacked && selects_others) return;
  for (const Module& module : spec.modules) {
    if (module.expert) refuse(module.name);
  }
}

void check_matched(const ModelSpec& spec, const TargetModules& targets, size_t selected) {
  const std::vector<std::string> known = short_names(spec);
  std::vector<std::string> problems;
  if (targets.from_file && selected > 0) return;
  for (const std::string& name : targets.names) {
    const bool matches =
        std::ranges::any_of(spec.modules, [&](const Module& module) { return named_by(module.name, name); });
    if (matches) continue;
    const auto near = nearest_name(name, known);
    problems.push_back(
        fmt::format("'{}' names no module{}", name, near ? fmt::format(" (did you mean {}?)", *near) : ""));
  }
  if (problems.empty() && selected == 0) problems.emplace_back("no module is left");
  check(problems.empty(), ErrorKind::invalid, "target_modules: {}; the model has {}",
        fmt::join(problems, "; "), fmt::join(known, ", "));
}

/// The shortest dotted suffixes that name the wanted modules outside experts, and no others.
std::vector<std::string> suffixes_of(const ModelSpec& spec,
                                     const std::function<bool(const Module&)>& is_wanted) {
  const auto wanted = [&](const Module& module) { return !module.expert && is_wanted(module); };
  const auto names_others = [&](const std::string& end) {
    return std::ranges::any_of(spec.modules, [&](const Module& module) {
      return !wanted(module) && (module.name == end || module.name.ends_with("." + end));
    });
  };
  std::vector<std::string> names;
  for (const Module& module : spec.modules) {
    if (!wanted(module)) continue;
    size_t dot = module.name.rfind('.');
    while (dot != std::string::npos && names_others(module.name.substr(dot + 1)))
      dot = module.name.rfind('.', dot - 1);
    const std::string end = dot == std::string::npos ? module.name : module.name.substr(dot + 1);
    if (std::ranges::find(names, end) == names.end()) names.push_back(end);
  }
  return names;
}

}  // namespace

void read_targets(const std::string& text, std::vector<std::string>& names, std::string& expression) {
  names.clear();
  expression.clear();
  if (text.find_first_of("\\()[]*+?|^$") != std::string::npos || text == all_linear) {
    expression = text;
    return;
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) names.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

void read_targets(const nlohmann::json& value, const std::string& key, std::vector<std::string>& names,
                  std::string& expression) {
  names.clear();
  expression.clear();
  if (value.is_null()) return;
  if (value.is_string()) {
    expression = value.get<std::string>();
    return;
  }
  check(value.is_array(), ErrorKind::invalid, "{} must be a list or a string", key);
  for (const nlohmann::json& name : value) {
    check(name.is_string(), ErrorKind::invalid, "{} must hold strings", key);
    names.push_back(name.get<std::string>());
  }
}

nlohmann::json write_targets(const std::vector<std::string>& names, const std::string& expression) {
  if (!expression.empty()) return expression;
  if (names.empty()) return nullptr;
  return names;
}

bool names_module(const std::vector<std::string>& names, const std::string& expression,
                  const std::string& module) {
  if (!expression.empty()) return Pattern(expression, "target_modules").matches(module);
  return std::ranges::any_of(names, [&](const std::string& name) { return module.ends_with(name); });
}

std::vector<std::string> names_of_roles(const ModelSpec& spec, const std::vector<Role>& roles) {
  return suffixes_of(
      spec, [&](const Module& module) { return std::ranges::find(roles, module.role) != roles.end(); });
}

std::vector<std::string> names_of_default_layers(const ModelSpec& spec) {
  // Fewer outputs than the usual rank: a gate or decay for each head, or for each token.
  constexpr int64_t narrowest = 8;
  const bool sparse = std::ranges::any_of(
      spec.tensors, [](const TensorRef& tensor) { return tensor.role == Role::router || tensor.expert; });
  return suffixes_of(spec, [&](const Module& module) {
    const Role role = module.role;
    const bool in_mlp = role == Role::gate || role == Role::up || role == Role::gate_up || role == Role::down;
    const bool read = role == Role::pooler ? spec.labels.has_value() : module.layer >= 0;
    const bool chosen = role != Role::head && role != Role::router && !(sparse && in_mlp);
    return module.is_linear() && chosen && read && module.out >= narrowest;
  });
}

std::vector<const Module*> select_modules(const ModelSpec& spec, const TargetModules& targets) {
  check(targets.layers.empty() || targets.expression.empty() || is_all_linear(targets), ErrorKind::invalid,
        "layers_to_transform goes with a list of target_modules, not with a regular expression");
  check(targets.layers_pattern.empty() || !targets.layers.empty(), ErrorKind::invalid,
        "layers_pattern needs layers_to_transform");
  for (const int64_t layer : targets.layers) {
    check(targets.from_file || (layer >= 0 && layer < spec.layers), ErrorKind::invalid,
          "layers_to_transform: layer {} of a model with {}", layer, spec.layers);
  }
  const std::optional<Pattern> expression =
      targets.expression.empty() || is_all_linear(targets)
          ? std::nullopt
          : std::optional<Pattern>(std::in_place, targets.expression, "target_modules");
  const std::optional<Pattern> excluded =
      targets.excluded_expression.empty()
          ? std::nullopt
          : std::optional<Pattern>(std::in_place, targets.excluded_expression, "exclude_modules");
  const std::string& prefix = spec.optional_prefix;
  const auto matches = [&](const Pattern& pattern, const std::string& name) {
    const bool shorter = targets.from_file && !prefix.empty() && name.starts_with(prefix);
    return pattern.matches(name) || (shorter && pattern.matches(name.substr(prefix.size())));
  };
  const auto is_excluded = [&](const std::string& name) {
    return excluded ? matches(*excluded, name) : any_names(name, targets.excluded_names);
  };
  if (!is_all_linear(targets)) {
    check_no_experts(spec, [&](const std::string& name) {
      return (expression ? matches(*expression, name) : any_names(name, targets.names)) && !is_excluded(name);
    });
  }
  std::vector<const Module*> selected;
  for (const Module& module : spec.modules) {
    if (module.expert || is_excluded(module.name)) continue;
    bool wanted = false;
    if (expression) {
      wanted = matches(*expression, module.name);
    } else if (is_all_linear(targets)) {
      wanted = module.is_linear() && module.role != Role::head && in_layers(module, targets);
    } else {
      const bool whole = std::ranges::find(targets.names, module.name) != targets.names.end();
      wanted = whole || (any_names(module.name, targets.names) && in_layers(module, targets));
    }
    if (wanted) selected.push_back(&module);
  }
  check_matched(spec, targets, selected.size());
  return selected;
}

}  // namespace lowrank
