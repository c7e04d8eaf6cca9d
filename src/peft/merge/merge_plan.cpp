#include "peft/merge/merge_plan.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>

#include "base/error.h"
#include "peft/core/from_patches.h"

namespace lowrank {

MergePlan merge_plan(const Checkpoint& base, const Method& method) {
  MergePlan plan;
  for (const TensorRef& tensor : base.spec().tensors) {
    const TensorRef& source = base.source(tensor);
    const TensorRef* changed = method.merges(tensor) ? &tensor : nullptr;
    if (&source != &tensor) {
      // A tied head gets a separate matrix if the adapter makes it differ from the embedding.
      if (method.keeps_tied_head() || !(changed || method.merges(source))) continue;
      plan.untied = true;
    }
    if (!base.find(source) && !changed) continue;
    plan.outputs.push_back({&tensor, &source, changed});
    plan.changed += changed != nullptr;
  }
  const Module* unfit = module_without_bias(method, base.spec());
  check(!unfit, ErrorKind::unsupported,
        "this adapter cannot be merged: it adds a bias to {}, which has none in the model",
        unfit ? unfit->name : "");
  check(plan.changed > 0, ErrorKind::unsupported, "this adapter cannot be merged: {}",
        method.why_not_merged());
  return plan;
}

ChangedTensor merged_values(const Checkpoint& base, const Method& method, const MergeOutput& output) {
  const at::NoGradGuard no_grad;
  const at::Tensor values = base.start(*output.source, 0);
  check(at::isfinite(values).all().item<bool>(), ErrorKind::invalid,
        "the base's {} holds values that are not finite; nothing is merged into a broken model",
        output.source->name);
  if (!output.changed) return {values, values};
  const std::optional<at::Tensor> merged = method.merged(*output.changed, values);
  check(merged.has_value(), ErrorKind::unsupported, "this adapter's method cannot be merged into {}",
        output.tensor->name);
  check(at::isfinite(*merged).all().item<bool>(), ErrorKind::invalid,
        "merging gives values that are not finite in {}", output.tensor->name);
  return {values, merged->to(at::kFloat).contiguous()};
}

}  // namespace lowrank
