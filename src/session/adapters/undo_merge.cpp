#include "session/adapters/undo_merge.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/staged_folder.h"
#include "peft/files/adapter_labels.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {
namespace {

void add_values(const Checkpoint& one, const TensorRef& tensor, const Checkpoint& other,
                const TensorRef& same, ValueComparison& comparison) {
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  const int64_t block = std::max<int64_t>(1, (int64_t{1} << 22) / columns);
  for (int64_t begin = 0; begin < tensor.shape[0]; begin += block) {
    std::vector<int64_t> shape = tensor.shape;
    const int64_t end = std::min(begin + block, tensor.shape[0]);
    shape[0] = end - begin;
    at::Tensor mine = at::empty(shape, at::kFloat), theirs = at::empty(shape, at::kFloat);
    one.read_rows(one.source(tensor), begin, end, mine);
    other.read_rows(other.source(same), begin, end, theirs);
    mine.sub_(theirs).abs_();
    comparison.values += mine.numel();
    comparison.different += mine.ne(0).sum().item<int64_t>();
    comparison.largest = std::max(comparison.largest, double{mine.max().item<float>()});
  }
}

bool is_stored(const Checkpoint& model, const TensorRef& tensor) {
  const TensorRef& source = model.source(tensor);
  return model.find(source) || model.nf4(source);
}

}  // namespace

ValueComparison compare_values(const Checkpoint& one, const Checkpoint& other) {
  const at::NoGradGuard no_grad;
  ValueComparison comparison;
  std::vector<std::string> problems;
  for (const TensorRef& tensor : one.spec().tensors) {
    if (!is_stored(one, tensor)) continue;
    const TensorRef* same = other.spec().find_tensor(tensor.name);
    if (!same || same->shape != tensor.shape || !is_stored(other, *same)) {
      problems.push_back(tensor.name);
      continue;
    }
    const bool both_tied = &one.source(tensor) != &tensor && &other.source(*same) != same;
    if (!both_tied) add_values(one, tensor, other, *same, comparison);
  }
  check(problems.empty(), ErrorKind::invalid,
        "{} and {} are no forms of one model: they differ in the shapes of {}", one.path().string(),
        other.path().string(), fmt::join(problems, ", "));
  return comparison;
}

UndoneMerge undo_merge(MergeOptions options, const std::string& original) {
  MergeCheckOptions& files = options.files;
  check_model_place(files.model);
  check_adapter_place(files.adapter);
  if (!original.empty()) check_model_place(original);
  files.merged = without_slash(files.merged).string();
  check(files.probe_data.empty(), ErrorKind::invalid, "`probe_data` is not used where a merge is undone");
  const auto merged = open_told(files.model, read_adapter_labels(files.adapter));
  const auto rounding = std::make_shared<UndoneRounding>();
  const Adapter inverse = inverse_of(load_told_adapter(files.adapter, *merged), merged, rounding);
  UndoneMerge undone{write_merged(*merged, inverse, options), *rounding, {}, {}};
  undone.rounding = *rounding;
  if (options.check) undone.difference = compare_adapted({files.model, ""}, {files.merged, files.adapter});
  if (!original.empty()) undone.original = compare_values(*open_told(files.merged), *open_told(original));
  return undone;
}

}  // namespace lowrank
