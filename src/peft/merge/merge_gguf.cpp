#include <algorithm>
#include <map>

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/gguf_writer.h"
#include "formats/quantise.h"
#include "model/stored/gguf_factors.h"
#include "model/tensor_form.h"
#include "peft/bank/inference_hooks.h"
#include "peft/merge/merge.h"
#include "peft/merge/merge_plan.h"

namespace lowrank {
namespace {

bool fits(const StoredTensor& stored, DType type) {
  return stored.shape.back() % info_of(type).block == 0;
}

/// The type of a changed tensor: its own for vectors; for matrices the wanted one, else its own if it can be
/// written, else Q8_0, or F16 if rows do not fill Q8_0's blocks.
DType type_of(const StoredTensor& stored, std::optional<DType> wanted) {
  if (stored.shape.size() == 1 || stored.name.ends_with(".bias")) return stored.dtype;
  if (wanted) {
    check(fits(stored, *wanted), ErrorKind::unsupported, "{}: rows of {} values do not fill blocks of {}",
          stored.name, stored.shape.back(), info_of(*wanted).name);
    return *wanted;
  }
  if (can_quantise(stored.dtype)) return stored.dtype;
  return fits(stored, DType::q8_0) ? DType::q8_0 : DType::f16;
}

ChangedTensor in_file_order(const ChangedTensor& values, const TensorRef& tensor) {
  return {in_gguf_form(values.base, tensor).contiguous(), in_gguf_form(values.merged, tensor).contiguous()};
}

/// The first of `type` and Q8_0 whose blocks keep enough of the update; otherwise F16.
DType type_that_keeps(const StoredTensor& stored, const ChangedTensor& values, DType type, double enough) {
  for (const DType tried : {type, DType::q8_0}) {
    if (!fits(stored, tried)) continue;
    KeptUpdate kept;
    add_kept(kept, values, tried, rounded(stored.name, tried, values.merged));
    if (kept.share() >= enough) return tried;
  }
  return DType::f16;
}

struct Planned {
  StoredTensor declared;                    ///< as written; `bytes` are those of an unchanged tensor
  std::vector<const MergeOutput*> outputs;  ///< none: copied; several: those of experts, one below the other

  bool is_changed() const { return std::ranges::any_of(outputs, &MergeOutput::changed); }
};

/// The values before and after merging, in the file's order.
ChangedTensor planned_values(const Checkpoint& base, const Method& method, const Planned& planned) {
  std::vector<at::Tensor> before, after;
  for (const MergeOutput* output : planned.outputs) {
    const ChangedTensor part = in_file_order(merged_values(base, method, *output), *output->tensor);
    before.push_back(part.base);
    after.push_back(part.merged);
  }
  if (before.size() == 1) return {before.front(), after.front()};
  return {at::cat(before), at::cat(after)};
}

/// The name of the tensor in the merged file: that of the base's, or of a head that was tied.
const std::string& name_of(const Checkpoint& base, const MergeOutput& output) {
  const StoredTensor* stored = output.source == output.tensor ? base.find(*output.source) : nullptr;
  return stored ? stored->name : output.tensor->gguf_name;
}

/// The outputs in tensors of which something changes, by name; those of experts in the order of the rows.
std::map<std::string, std::vector<const MergeOutput*>> changed_tensors(const Checkpoint& base,
                                                                       const MergePlan& plan) {
  std::map<std::string, std::vector<const MergeOutput*>> by_name;
  for (const MergeOutput& output : plan.outputs) {
    if (output.changed || output.source != output.tensor) by_name[name_of(base, output)] = {};
  }
  for (const MergeOutput& output : plan.outputs) {
    const auto found = by_name.find(name_of(base, output));
    if (found != by_name.end()) found->second.push_back(&output);
  }
  for (auto& [name, outputs] : by_name) {
    std::ranges::stable_sort(outputs, {}, [](const MergeOutput* output) {
      const std::optional<ExpertPart>& part = output->tensor->expert;
      return part ? std::pair(part->number, part->first_row) : std::pair(int64_t{0}, int64_t{0});
    });
  }
  return by_name;
}

/// True for factors of a matrix that is written anew, with them in its values.
bool is_in_values(const Checkpoint& base, const StoredTensor& stored,
                  const std::map<std::string, std::vector<const MergeOutput*>>& changed) {
  return changed.contains(matrix_of_factors(*base.gguf(), stored.name)) &&
         std::ranges::find(base.spec().tensors, stored.name, &TensorRef::gguf_name) ==
             base.spec().tensors.end();
}

std::vector<Planned> planned_tensors(const Checkpoint& base, const MergePlan& plan,
                                     std::optional<DType> type) {
  std::map<std::string, std::vector<const MergeOutput*>> by_name = changed_tensors(base, plan);
  std::vector<Planned> tensors;
  const std::map<std::string, std::vector<const MergeOutput*>> changed = by_name;
  for (const StoredTensor& stored : base.gguf()->tensors()) {
    if (is_in_values(base, stored, changed)) continue;
    const auto found = by_name.find(stored.name);
    Planned planned{stored, {}};
    if (found != by_name.end()) planned.outputs = found->second;
    const bool converts =
        !planned.outputs.empty() && planned.outputs.front()->tensor->role != Role::recurrence;
    if (converts) planned.declared.dtype = type_of(stored, type);
    tensors.push_back(std::move(planned));
    if (found != by_name.end()) by_name.erase(found);
  }
  // What remains is a head that was tied.
  for (const auto& [name, outputs] : by_name) {
    const MergeOutput& output = *outputs.front();
    StoredTensor declared = *base.find(*output.source);
    declared.name = name;
    if (output.changed) declared.dtype = type_of(declared, type);
    tensors.push_back({declared, output.changed ? outputs : std::vector<const MergeOutput*>{}});
  }
  return tensors;
}

/// Changes the type of tensors that lose too much in their own block format; returns their number.
int64_t raise_types(const Checkpoint& base, const Method& method, std::vector<Planned>& tensors,
                    double enough) {
  int64_t raised = 0;
  for (Planned& planned : tensors) {
    StoredTensor& declared = planned.declared;
    if (!planned.is_changed() || info_of(declared.dtype).block == 1) continue;
    const ChangedTensor values = planned_values(base, method, planned);
    const DType type = type_that_keeps(declared, values, declared.dtype, enough);
    raised += type != declared.dtype ? 1 : 0;
    declared.dtype = type;
  }
  return raised;
}

}  // namespace

MergeResult merge_to_gguf(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                          const std::filesystem::path& output, double least_kept, Existing existing) {
  check(base.gguf() != nullptr, ErrorKind::unsupported,
        "{}: a GGUF file is written from a GGUF base only; merge into a folder and `lowrank convert` that",
        output.string());
  check(existing == Existing::replaced || !std::filesystem::exists(std::filesystem::symlink_status(output)),
        ErrorKind::invalid, "{}: exists already; merging writes a new file; give another `output`",
        output.string());
  // Compute once what merging needs of the patches several times per module.
  const InferenceHooks ready(adapter);
  const MergePlan plan = merge_plan(base, *adapter.method);
  std::vector<Planned> tensors = planned_tensors(base, plan, type);
  MergeResult result{.changed = plan.changed, .tensors = std::ssize(tensors), .untied = plan.untied};
  if (!type && least_kept > 0) result.raised = raise_types(base, *adapter.method, tensors, least_kept);
  std::vector<StoredTensor> declared;
  declared.reserve(tensors.size());
  for (const Planned& planned : tensors) declared.push_back(planned.declared);
  GgufWriter writer(output, declared, GgufMetadata(*base.gguf()), existing);
  for (const Planned& planned : tensors) {
    throw_if_interrupted();
    const StoredTensor& tensor = planned.declared;
    if (planned.outputs.empty()) {
      check_finite(tensor);
      writer.append(tensor.bytes);
      continue;
    }
    const ChangedTensor values = planned_values(base, *adapter.method, planned);
    const std::vector<std::byte> bytes = rounded(tensor.name, tensor.dtype, values.merged);
    writer.append(bytes);
    if (planned.is_changed()) result.count(tensor.dtype, values, bytes);
  }
  base.check_unchanged();
  writer.commit();
  result.bytes = static_cast<int64_t>(std::filesystem::file_size(output));
  return result;
}

}  // namespace lowrank
