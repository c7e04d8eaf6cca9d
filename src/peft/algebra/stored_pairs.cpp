#include "peft/algebra/stored_pairs.h"

#include <algorithm>
#include <span>

#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/one_line.h"
#include "formats/block_formats.h"

namespace lowrank {
namespace {

/// What makes a pair unusable; nothing when it fits.
std::optional<std::string> problem_of(const std::string& module, const StoredPair& pair) {
  if (!pair.a || !pair.b)
    return fmt::format("{} has only its factor {}", one_line(module), pair.a ? "A" : "B");
  for (const StoredTensor* tensor : {pair.a, pair.b}) {
    if (!can_expand(tensor->dtype))
      return fmt::format("{} has the type {}", one_line(tensor->name), info_of(tensor->dtype).name);
    if (tensor->shape.empty() || tensor->shape.size() > 2 || std::ranges::count(tensor->shape, 0) > 0)
      return fmt::format("{} has shape [{}] and is no matrix", one_line(tensor->name),
                         fmt::join(tensor->shape, ", "));
  }
  return std::nullopt;
}

}  // namespace

bool take_end(std::string_view& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.remove_suffix(end.size());
  return true;
}

at::Tensor stored_values(const StoredTensor& tensor, const std::string& where) {
  // Some writers leave out the first dimension of factors of rank 1.
  const std::vector<int64_t> shape =
      tensor.shape.size() == 1 ? std::vector<int64_t>{1, tensor.shape.front()} : tensor.shape;
  at::Tensor values = at::empty(shape, at::kFloat);
  const std::span<float> data(values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel()));
  expand(tensor.dtype, tensor.bytes, data);
  check(!first_not_finite(data), ErrorKind::corrupt, "{}: values that are not finite in {}", where,
        one_line(tensor.name));
  return values;
}

void add_updates(FactoredAdapter& adapter, const StoredPairs& pairs,
                 const std::function<std::optional<std::string>(FactoredUpdate&)>& complete) {
  std::vector<std::string> problems;
  for (const auto& [module, pair] : pairs) {
    std::optional<std::string> problem = problem_of(module, pair);
    if (!problem) {
      FactoredUpdate update{module, pair.embedding, 1, stored_values(*pair.a, adapter.where),
                            stored_values(*pair.b, adapter.where)};
      problem = complete(update);
      if (!problem && update.a.size(0) != update.b.size(1))
        problem = fmt::format("A of {} has {} rows, B {} columns", one_line(module), update.a.size(0),
                              update.b.size(1));
      if (!problem) {
        adapter.rank = std::max(adapter.rank, update.rank());
        adapter.updates.push_back(std::move(update));
      }
    }
    if (problem) problems.push_back(std::move(*problem));
  }
  check_fits(problems, adapter.where, "each other");
  check(!adapter.updates.empty(), ErrorKind::invalid, "{}: no low-rank factors", adapter.where);
  std::ranges::sort(adapter.updates, natural_less, &FactoredUpdate::module);
}

}  // namespace lowrank
