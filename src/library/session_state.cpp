#include "library/session_state.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest_name.h"
#include "peft/files/adapter_labels.h"
#include "session/places.h"

namespace lowrank {

AttachedAdapter& Session::State::named(const std::string& name) {
  const auto found = attached.find(name);
  if (found != attached.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, adapter] : attached) names.push_back(known);
  const auto near = nearest_name(name, names);
  fail(ErrorKind::not_found, "no adapter '{}' is attached{}", name,
       near ? fmt::format(" (did you mean {}?)", *near) : "");
}

void Session::State::attach(const std::string& name, const std::string& path) {
  check(!name.empty(), ErrorKind::invalid, "an adapter needs a name");
  check(!attached.contains(name), ErrorKind::invalid, "an adapter '{}' is attached already", name);
  check_adapter_place(path);
  const std::optional<LabelSet> labels = read_adapter_labels(path);
  const auto base = labels ? open_told(options.model, labels) : checkpoint;
  attached[name] = {base, std::make_shared<Adapter>(load_told_adapter(path, *base))};
}

RunningModel Session::State::running(const std::string& name) {
  if (name.empty()) {
    if (!model) model = load_model(checkpoint, options, nullptr, false);
    return {*checkpoint, *model, InferenceHooks(), checkpoint->spec().max_positions};
  }
  AttachedAdapter& one = named(name);
  const bool own = one.needs_own_model();
  std::unique_ptr<Model>& kept = own ? one.own_model : model;
  if (!kept) kept = load_model(one.checkpoint, options, own ? &one.adapter->plan : nullptr, false);
  return {*one.checkpoint, *kept, InferenceHooks(*one.adapter),
          one.checkpoint->spec().max_positions - one.adapter->plan.context_rows};
}

void Session::State::unload() {
  model.reset();
  for (auto& [name, one] : attached) one.own_model.reset();
}

}  // namespace lowrank
