#include "session/starting_adapter.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "peft/core/registry.h"
#include "peft/core/target_modules.h"
#include "peft/files/adapter_labels.h"
#include "session/places.h"

namespace lowrank {
namespace {

using Json = nlohmann::json;

std::vector<const Module*> modules_named(const ModelSpec& spec, const Json& text) {
  TargetModules targets;
  read_targets(text.get<std::string>(), targets.names, targets.expression);
  return select_modules(spec, targets);
}

/// True for equal values, or two ways to name the same modules.
bool agree(const Json& one, const Json& other, const ModelSpec& spec) {
  if (one == other) return true;
  if (!one.is_string() || !other.is_string()) return false;
  try {
    return modules_named(spec, one) == modules_named(spec, other);
  } catch (const Error&) {
    return false;
  }
}

std::string shown(const Json& value) {
  return json_text(value);
}

}  // namespace

std::set<std::string> all_method_options() {
  std::set<std::string> names;
  for (const MethodInfo* info : known_methods()) {
    const std::unique_ptr<Method> method = info->make();
    for (const Field& option : method->fields()) names.insert(option.name);
  }
  return names;
}

StartingAdapter read_starting_adapter(const std::string& path, const std::string& model) {
  check_adapter_place(path);
  const std::string base = located_model(model);
  check_model_place(base);
  StartingAdapter start;
  start.path = path;
  start.spec = read_spec(base, read_adapter_labels(path));
  start.chosen = method_of_adapter(path, start.spec);
  start.method = start.chosen.info->name;
  start.options = resolved(start.chosen.method->fields());
  return start;
}

RunStart start_of_run(const std::string& method, const std::string& fallback, const std::string& init_adapter,
                      const std::string& model) {
  RunStart start;
  if (!init_adapter.empty()) start.adapter = read_starting_adapter(init_adapter, model);
  start.method = start.adapter ? start.adapter->method : method.empty() ? fallback : method;
  const bool own = start.adapter && (method.empty() || method == start.method);
  start.chosen =
      own ? std::move(start.adapter->chosen) : choose_method(method.empty() ? start.method : method);
  return start;
}

void check_starting_options(const StartingAdapter& start, std::span<const Field> fields,
                            const std::set<std::string>& given) {
  std::vector<std::string> problems;
  const std::set<std::string> options = all_method_options();
  for (const std::string& name : given) {
    const Json value = find_field(fields, name)->get();
    if (name == "method") {
      if (value != start.method)
        problems.push_back(fmt::format("its method is {}, not {}", start.method, value.get<std::string>()));
    } else if (start.options.contains(name)) {
      if (!agree(start.options[name], value, start.spec))
        problems.push_back(
            fmt::format("its {} is {}, not {}", name, shown(start.options[name]), shown(value)));
    } else if (options.contains(name)) {
      problems.push_back(fmt::format("its method {} has no {}", start.method, name));
    }
  }
  check(problems.empty(), ErrorKind::invalid,
        "`init_adapter` {}: a run goes on with the adapter's own method and options, but {}", start.path,
        fmt::join(problems, "; "));
}

}  // namespace lowrank
