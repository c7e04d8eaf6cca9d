#include <map>

#include <ATen/ops/add.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/gguf_writer.h"
#include "formats/quantise.h"
#include "peft/merge.h"
#include "peft/merge_plan.h"

namespace lowrank {
namespace {

/// The type of a changed tensor: the wanted one for matrices, else its own where it can be written, else
/// Q8_0, or F16 where rows do not fill Q8_0's blocks.
DType type_of(const StoredTensor& stored, std::optional<DType> wanted) {
  const auto fits = [&](DType type) { return stored.shape.back() % info_of(type).block == 0; };
  if (stored.shape.size() == 1) return stored.dtype;
  if (wanted) {
    check(fits(*wanted), ErrorKind::unsupported, "{}: rows of {} values do not fill blocks of {}",
          stored.name, stored.shape.back(), info_of(*wanted).name);
    return *wanted;
  }
  if (can_quantise(stored.dtype)) return stored.dtype;
  return fits(DType::q8_0) ? DType::q8_0 : DType::f16;
}

/// Values as the file has them: rows in llama.cpp's rotary order, norms with their offset.
at::Tensor in_file_order(const at::Tensor& values, const TensorRef& tensor) {
  return in_gguf_row_order(tensor.gguf_offset != 0 ? at::add(values, tensor.gguf_offset) : values, tensor);
}

struct Planned {
  StoredTensor declared;                ///< as it is written; `bytes` are those of an unchanged tensor
  const MergeOutput* output = nullptr;  ///< nullptr: copied
};

std::vector<Planned> planned_tensors(const Checkpoint& base, const MergePlan& plan,
                                     std::optional<DType> type) {
  std::map<std::string, const MergeOutput*> by_name;
  for (const MergeOutput& output : plan.outputs) {
    if (output.changed || output.source != output.tensor) by_name[output.tensor->gguf_name] = &output;
  }
  std::vector<Planned> tensors;
  for (const StoredTensor& stored : base.gguf()->tensors()) {
    const auto found = by_name.find(stored.name);
    Planned planned{stored, found == by_name.end() ? nullptr : found->second};
    if (planned.output) planned.declared.dtype = type_of(stored, type);
    tensors.push_back(std::move(planned));
    if (found != by_name.end()) by_name.erase(found);
  }
  // What is left is a head that was tied.
  for (const auto& [name, output] : by_name) {
    StoredTensor declared = *base.find(*output->source);
    declared.name = name;
    if (output->changed) declared.dtype = type_of(declared, type);
    tensors.push_back({declared, output->changed ? output : nullptr});
  }
  return tensors;
}

void append_values(GgufWriter& writer, const at::Tensor& values, const StoredTensor& declared) {
  const std::span<const float> from(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()));
  std::vector<std::byte> bytes(*byte_count(declared.dtype, values.numel()));
  try {
    quantise(declared.dtype, from, bytes);
  } catch (const Error& error) {
    throw Error(error.kind(), declared.name + ": " + error.what(), error.hint());
  }
  writer.append(bytes);
}

}  // namespace

MergeResult merge_to_gguf(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                          const std::filesystem::path& output, Existing existing) {
  check(base.gguf() != nullptr, ErrorKind::unsupported,
        "{}: a GGUF file is written from a GGUF base only; merge into a folder and convert that",
        output.string());
  check(existing == Existing::replaced || !std::filesystem::exists(std::filesystem::symlink_status(output)),
        ErrorKind::invalid, "{}: exists already; merging writes a new file", output.string());
  const MergePlan plan = merge_plan(base, *adapter.method);
  const std::vector<Planned> tensors = planned_tensors(base, plan, type);
  MergeResult result{plan.changed, std::ssize(tensors), plan.untied, 0, 0, {}};
  std::vector<StoredTensor> declared;
  declared.reserve(tensors.size());
  for (const Planned& planned : tensors) declared.push_back(planned.declared);
  GgufWriter writer(output, declared, GgufMetadata(*base.gguf()), existing);
  for (const Planned& planned : tensors) {
    throw_if_interrupted();
    if (!planned.output) {
      writer.append(planned.declared.bytes);
      continue;
    }
    result.requantised += info_of(planned.declared.dtype).block > 1;
    const at::Tensor values = merged_values(base, *adapter.method, *planned.output);
    append_values(writer, in_file_order(values, *planned.output->tensor), planned.declared);
  }
  base.check_unchanged();
  writer.commit();
  result.bytes = static_cast<int64_t>(std::filesystem::file_size(output));
  return result;
}

}  // namespace lowrank
