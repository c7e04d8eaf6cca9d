#include "peft/core/trained_tensors.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "model/tensor_form.h"
#include "tokenizer/steps/pattern.h"

namespace lowrank {

void TrainedTensors::add(const TensorRef& tensor, std::string key) {
  entries_.emplace(tensor.name, Entry{&tensor, std::move(key), nullptr, {}});
}

void TrainedTensors::add_copy(const TensorRef& tensor, const TensorRef& of, std::string key) {
  entries_.emplace(tensor.name, Entry{&tensor, std::move(key), &of, {}});
}

void TrainedTensors::keep_tie(const ModelSpec& spec) {
  const auto [embedding, head] = tied_pair(spec);
  if (head && holds(*embedding)) add_copy(*head, *embedding, "");
}

bool TrainedTensors::keeps_tie() const {
  return std::ranges::any_of(
      entries_, [](const auto& entry) { return entry.second.copy_of && entry.second.key.empty(); });
}

void TrainedTensors::plan(TrainPlan& plan) const {
  for (const auto& [name, entry] : entries_) {
    plan.uses[name] = TensorUse::trained;
    if (entry.copy_of) {
      if (entry.key.empty()) continue;
      plan.copies.push_back({entry.key, entries_.at(entry.copy_of->name).key, false});
    } else {
      plan.parameters.push_back({entry.key, folder_shape(*entry.tensor)});
      plan.targets.push_back(name);
    }
  }
}

void TrainedTensors::bind(const ParameterSet& parameters) {
  for (auto& [name, entry] : entries_) {
    entry.value = parameters.at(entry.copy_of ? entries_.at(entry.copy_of->name).key : entry.key);
  }
}

void TrainedTensors::initialise(const Checkpoint& base, uint64_t seed) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, entry] : entries_) {
    at::Tensor value = entry.value;
    if (!entry.copy_of) value.copy_(in_folder_layout(base.start(*entry.tensor, seed), *entry.tensor));
  }
}

std::vector<std::string> TrainedTensors::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

std::optional<at::Tensor> TrainedTensors::value(const TensorRef& tensor) const {
  const auto found = entries_.find(tensor.name);
  if (found == entries_.end()) return std::nullopt;
  if (tensor.depthwise) return found->second.value.reshape(tensor.shape);
  return tensor.transposed ? found->second.value.t() : found->second.value;
}

std::vector<std::string> with_head(const ModelSpec& spec, std::vector<std::string> names) {
  for (const std::string& name : spec.head_modules) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

std::vector<const TensorRef*> tensors_to_save(const ModelSpec& spec, const std::vector<std::string>& names) {
  std::vector<const TensorRef*> tensors;
  for (const std::string& wanted : names) {
    bool found = false;
    for (const TensorRef& tensor : spec.tensors) {
      bool matches = false;
      for (size_t dot = tensor.name.rfind('.'); dot != std::string::npos && !matches && dot > 0;
           dot = tensor.name.rfind('.', dot - 1)) {
        matches = std::string_view(tensor.name).substr(0, dot).ends_with(wanted);
      }
      found |= matches;
      if (matches && std::ranges::find(tensors, &tensor) == tensors.end()) tensors.push_back(&tensor);
    }
    found |= std::ranges::find(spec.head_modules, wanted) != spec.head_modules.end();
    check(found, ErrorKind::invalid, "modules_to_save: '{}' names no part of the model", wanted);
  }
  return tensors;
}

std::pair<const TensorRef*, const TensorRef*> tied_pair(const ModelSpec& spec) {
  if (!spec.tied_head) return {nullptr, nullptr};
  const auto of = [&](Role role) {
    const auto found = std::ranges::find(spec.tensors, role, &TensorRef::role);
    return found == spec.tensors.end() ? nullptr : &*found;
  };
  const TensorRef* head = of(Role::head);
  return {head ? of(Role::embedding) : nullptr, head};
}

std::vector<const TensorRef*> tensors_found(const ModelSpec& spec, const std::string& expression) {
  const Pattern pattern(".*(?:" + expression + ").*", "the expression for tensor names");
  const auto [embedding, head] = tied_pair(spec);
  std::vector<const TensorRef*> tensors;
  for (const TensorRef& tensor : spec.tensors) {
    if (&tensor == head || tensor.role == Role::constant) continue;
    if (pattern.matches(tensor.name) || (head && &tensor == embedding && pattern.matches(head->name)))
      tensors.push_back(&tensor);
  }
  check(!tensors.empty(), ErrorKind::invalid,
        "'{}' is found in the name of no tensor; the model has {} to {}", expression,
        spec.tensors.front().name, spec.tensors.back().name);
  return tensors;
}

bool is_saved_whole(const std::string& module, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [&](const std::string& name) {
    const std::string path = "." + module + ".";
    return path.find("." + name + ".") != std::string::npos;
  });
}

std::vector<const TensorRef*> biases_to_train(const ModelSpec& spec, const std::string& which,
                                              const std::vector<const Module*>& adapted) {
  std::vector<const TensorRef*> tensors;
  if (which == "none") return tensors;
  for (const TensorRef& tensor : spec.tensors) {
    if (!tensor.name.ends_with(".bias")) continue;
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (which == "all" || std::ranges::find(adapted, module, &Module::name) != adapted.end())
      tensors.push_back(&tensor);
  }
  return tensors;
}

std::string saved_key(const TensorRef& tensor, bool adapted) {
  const size_t dot = tensor.name.rfind('.');
  return fmt::format("base_model.model.{}{}{}", tensor.name.substr(0, dot), adapted ? ".base_layer" : "",
                     tensor.name.substr(dot));
}

}  // namespace lowrank
