#include "peft/core/from_patches.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <fmt/ranges.h>

#include "kernels/products/patched_product.h"
#include "peft/core/inverse_patches.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {
namespace {

std::vector<Patch> patches_of(const Method& method, const Module& module, bool training) {
  if (!module.is_linear()) return {};
  const Batch nothing;
  const SequenceLayout layout;
  Context context{&nothing, training};
  return method.patches({context, layout, module.layer}, module);
}

const Module* adapted_module(const Method& method, std::string_view name) {
  const std::vector<const Module*> modules = method.adapted();
  const auto found =
      std::ranges::find(modules, name, [](const Module* module) -> std::string_view { return module->name; });
  return found == modules.end() ? nullptr : *found;
}

bool is_mergeable(const Patch& patch) {
  return !patch.branch || patch.branch_is_linear;
}

bool changes_weight(const Patch& patch) {
  return patch.A.defined() || patch.in_scale.defined() || patch.out_scale.defined() || patch.in_map ||
         patch.out_map || patch.update || patch.branch;
}

bool changes_bias(const Patch& patch) {
  return patch.bias.defined() || (patch.scales_bias && (patch.out_scale.defined() || patch.out_map));
}

/// What the patch does beyond a low-rank update, in words.
std::vector<std::string> beyond_factors(const Patch& patch) {
  std::vector<std::string> words;
  if (patch.in_scale.defined() || patch.out_scale.defined())
    words.emplace_back("scales of a weight's rows or columns");
  if (patch.in_map || patch.out_map) words.emplace_back("maps of a weight's rows or columns");
  if (patch.update || patch.branch) words.emplace_back("changes of weights whose rank is not low");
  if (patch.bias.defined()) words.emplace_back("biases");
  return words;
}

LowRankUpdate update_of(const Module& module, const std::vector<Patch>& patches) {
  std::vector<const Patch*> parts;
  for (const Patch& patch : patches) {
    if (patch.A.defined()) parts.push_back(&patch);
  }
  const auto alpha = [](double scale, int64_t rank) { return scale * static_cast<double>(rank); };
  if (parts.size() == 1) {
    const int64_t rank = parts.front()->A.size(0);
    return {&module, rank, alpha(parts.front()->scale, rank), parts.front()->A, parts.front()->B};
  }
  std::vector<at::Tensor> a, b;
  for (const Patch* patch : parts) {
    a.push_back(patch->A);
    b.push_back(patch->B * patch->scale);
  }
  const at::Tensor stacked = at::cat(a);
  return {&module, stacked.size(0), alpha(1, stacked.size(0)), stacked, at::cat(b, 1)};
}

}  // namespace

std::vector<Patch> plain_patches(const Method& method, const Module& module) {
  return patches_of(method, module, false);
}

bool patches_drop_rows(const Method& method) {
  return std::ranges::any_of(method.adapted(), [&](const Module* module) {
    return std::ranges::any_of(patches_of(method, *module, true),
                               [](const Patch& patch) { return patch.dropout.p > 0; });
  });
}

bool patches_change(const Method& method, const TensorRef& tensor) {
  const Module* module = adapted_module(method, tensor.module_name());
  if (!module || !module->is_linear()) return false;
  const std::vector<Patch> patches = plain_patches(method, *module);
  if (!std::ranges::all_of(patches, is_mergeable)) return false;
  return std::ranges::any_of(patches, tensor.is_weight() ? changes_weight : changes_bias);
}

at::Tensor with_patches(const Method& method, const TensorRef& tensor, const at::Tensor& value) {
  const Module& module = *adapted_module(method, tensor.module_name());
  const std::vector<Patch> patches = plain_patches(method, module);
  return tensor.is_weight() ? patched_weight(value, patches) : patched_bias(value, patches);
}

at::Tensor without_patches(const Method& method, const TensorRef& tensor, const at::Tensor& merged) {
  const Module& module = *adapted_module(method, tensor.module_name());
  const std::vector<Patch> patches = plain_patches(method, module);
  return tensor.is_weight() ? unpatched_weight(tensor.name, merged, patches)
                            : unpatched_bias(tensor.name, merged, patches);
}

std::optional<LowRankUpdate> patch_factors(const Method& method, const Module& module) {
  const std::vector<Patch> patches = plain_patches(method, module);
  const auto adds_factors = [](const Patch& patch) {
    return patch.A.defined() && !patch.in_scale.defined() && !patch.out_scale.defined() && !patch.in_map &&
           !patch.out_map && !patch.update && !patch.branch;
  };
  const auto adds_bias = [](const Patch& patch) { return !changes_weight(patch); };
  const bool fits = std::ranges::all_of(
      patches, [&](const Patch& patch) { return adds_factors(patch) || adds_bias(patch); });
  if (!fits || !std::ranges::any_of(patches, adds_factors)) return std::nullopt;
  return update_of(module, patches);
}

LowRankForm low_rank_form_of(const Method& method) {
  LowRankForm form;
  const auto add = [&](const std::string& words) {
    if (std::ranges::find(form.beside, words) == form.beside.end()) form.beside.push_back(words);
  };
  for (const Module* module : method.adapted()) {
    const std::vector<Patch> patches = plain_patches(method, *module);
    for (const Patch& patch : patches) {
      for (const std::string& words : beyond_factors(patch)) add(words);
    }
    if (std::ranges::any_of(patches, [](const Patch& patch) { return patch.A.defined(); }))
      form.updates.push_back(update_of(*module, patches));
  }
  if (const TrainedTensors* beside = method.trained_beside(); beside && !beside->names().empty())
    add(fmt::format("whole tensors of the model ({})", fmt::join(beside->names(), ", ")));
  if (form.updates.empty() && form.beside.empty()) add("parameters that are no low-rank updates of weights");
  return form;
}

void add_patch_costs(const Method& method, TrainPlan& plan) {
  for (const Module* module : method.adapted()) {
    for (const Patch& patch : plain_patches(method, *module)) {
      plan.macs_per_token += macs_per_token(patch);
      plan.kept_values += kept_values(patch, module->in);
      if (patch.A.defined()) plan.stacked_values += patch.A.numel() + patch.B.numel();
    }
  }
}

const Module* module_without_bias(const Method& method, const ModelSpec& spec) {
  for (const Module* module : method.adapted()) {
    if (spec.find_tensor(module->name + ".bias")) continue;
    const std::vector<Patch> patches = plain_patches(method, *module);
    if (std::ranges::any_of(patches, [](const Patch& patch) { return patch.bias.defined(); })) return module;
  }
  return nullptr;
}

}  // namespace lowrank
