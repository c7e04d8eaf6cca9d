#include "peft/bank/adapter_patches.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "peft/core/from_patches.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {
namespace {

/// s B^T [r, n] of B [n, r], written to `out`.
void write_scaled_transpose(const at::Tensor& b, double scale, at::Tensor& out) {
  if (!on_cpu(b) || b.scalar_type() != at::kFloat || !b.is_contiguous()) {
    out.copy_((b * scale).t());
    return;
  }
  const auto factor = static_cast<float>(scale);
  const int64_t rows = b.size(0), rank = b.size(1);
  const float* from = b.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t row = 0; row < rows; ++row) to[r * rows + row] = from[row * rank + r] * factor;
  }
}

/// Stores A and s B^T of all patches contiguously, in the order in which passes read them.
void lay_out_factors(AdapterPatches& patches, const std::vector<const Module*>& order) {
  int64_t count = 0;
  for (const auto& [module, own] : patches) {
    for (const Patch& patch : own) count += patch.A.defined() ? patch.A.numel() + patch.B.numel() : 0;
  }
  at::Tensor all;
  int64_t next = 0;
  const auto place = [&](const at::Tensor& like, int64_t rows, int64_t columns) {
    if (!all.defined()) all = at::empty({count}, like.options().requires_grad(false));
    at::Tensor view = all.narrow(0, next, rows * columns).view({rows, columns});
    next += rows * columns;
    return view;
  };
  for (const Module* module : order) {
    for (Patch& patch : patches.at(module)) {
      if (!patch.A.defined()) continue;
      patch.A = place(patch.A, patch.A.size(0), patch.A.size(1)).copy_(patch.A);
      patch.scaled_b = place(patch.A, patch.B.size(1), patch.B.size(0));
      write_scaled_transpose(patch.B, patch.scale, patch.scaled_b);
    }
  }
}

/// Multiplies the scales of all patches. Errors: unsupported if the adapter does more than add products of
/// factors.
void multiply(AdapterPatches& patches, double factor, const Adapter& adapter, std::string_view name) {
  check(has_scale(*adapter.method), ErrorKind::unsupported,
        "the adapter {} ({}) has no scale that a factor could change: it does more than add low-rank updates "
        "to linear layers",
        name, adapter.info->name);
  for (auto& [module, own] : patches) {
    for (Patch& patch : own) patch.scale *= factor;
  }
}

}  // namespace

bool has_scale(const Method& method) {
  if (method.acts_between_layers() || (method.trained_beside() && !method.trained_beside()->names().empty()))
    return false;
  const LowRankForm form = method.low_rank_form();
  const auto modules = method.adapted();
  return form.beside.empty() &&
         std::ranges::all_of(form.updates,
                             [](const LowRankUpdate& update) { return update.module->is_linear(); }) &&
         std::ranges::all_of(modules, [&](const Module* module) {
           return std::ranges::all_of(plain_patches(method, *module), only_factors);
         });
}

void check_shares_base(std::string_view name, const MethodInfo& info, const TrainPlan& plan) {
  const auto replaced =
      std::ranges::find_if(plan.uses, [](const auto& use) { return use.second != TensorUse::frozen; });
  check(
      replaced == plan.uses.end(), ErrorKind::unsupported,
      "the adapter {} ({}) replaces tensors of the base ({}), which all sequences of a batch share; merge it "
      "into a model of its own, or use it alone",
      name, info.name, replaced == plan.uses.end() ? "" : replaced->first);
}

AdapterPatches adapter_patches(const Adapter& adapter, double factor, std::string_view name) {
  AdapterPatches patches;
  for (const Module* module : adapter.method->adapted())
    patches.emplace(module, plain_patches(*adapter.method, *module));
  if (factor != 1) multiply(patches, factor, adapter, name);
  lay_out_factors(patches, adapter.method->adapted());
  return patches;
}

}  // namespace lowrank
