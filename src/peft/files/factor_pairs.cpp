#include "peft/files/factor_pairs.h"

#include <algorithm>
#include <optional>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/block_formats.h"
#include "peft/files/adapter_contents.h"

namespace lowrank {
namespace {

struct Pair {
  const StoredTensor* a = nullptr;
  const StoredTensor* b = nullptr;
};

constexpr std::string_view a_suffix = ".lora_a", b_suffix = ".lora_b";

/// Rows and columns; some writers omit a first dimension of 1.
std::vector<int64_t> matrix_shape(const StoredTensor& tensor) {
  if (tensor.shape.size() == 1) return {1, tensor.shape.front()};
  return tensor.shape;
}

std::string unexpected(const std::string& name, const FactorNames& names) {
  std::vector<std::string> known;
  for (const auto& [stem, module] : names.modules) {
    for (const std::string_view suffix : {a_suffix, b_suffix}) known.push_back(stem + std::string(suffix));
  }
  const auto near = known.size() <= 4000 ? nearest_name(name, known) : std::nullopt;
  return fmt::format("unexpected {}{}", name, near ? fmt::format(" (nearest: {})", *near) : "");
}

std::map<const Module*, Pair> pairs_of(std::span<const StoredTensor> tensors, const FactorNames& names,
                                       std::vector<std::string>& problems) {
  constexpr size_t with_nearest = 8;
  std::map<const Module*, Pair> pairs;
  for (const StoredTensor& tensor : tensors) {
    const std::string_view name = tensor.name;
    const bool is_a = name.ends_with(a_suffix);
    const auto found = is_a || name.ends_with(b_suffix)
                           ? names.modules.find(name.substr(0, name.size() - a_suffix.size()))
                           : names.modules.end();
    if (found == names.modules.end()) {
      problems.push_back(problems.size() < with_nearest ? unexpected(tensor.name, names)
                                                        : "unexpected " + tensor.name);
    } else if (is_a) {
      pairs[found->second].a = &tensor;
    } else {
      pairs[found->second].b = &tensor;
    }
  }
  return pairs;
}

/// What is wrong with the shapes of a pair; nothing when they fit.
std::optional<std::string> misshapen(const Module& module, const Pair& pair, FactorLayout layout) {
  std::vector<int64_t> a = matrix_shape(*pair.a);
  std::vector<int64_t> b = matrix_shape(*pair.b);
  if (a.size() == 2 && b.size() == 2) {
    if (layout.a_transposed) std::ranges::reverse(a);
    if (layout.b_transposed) std::ranges::reverse(b);
    if (a[1] == module.in && b[0] == module.out && a[0] == b[1] && a[0] > 0) return std::nullopt;
  }
  const auto expected = [](bool transposed, const std::string& rows, const std::string& columns) {
    return transposed ? fmt::format("[{}, {}]", columns, rows) : fmt::format("[{}, {}]", rows, columns);
  };
  return fmt::format("{} [{}] and {} [{}] where {} and {} are expected", pair.a->name,
                     fmt::join(pair.a->shape, ", "), pair.b->name, fmt::join(pair.b->shape, ", "),
                     expected(layout.a_transposed, "r", std::to_string(module.in)),
                     expected(layout.b_transposed, std::to_string(module.out), "r"));
}

at::Tensor values_of(const StoredTensor& tensor, bool transposed, const std::string& where) {
  at::Tensor values = at::empty(matrix_shape(tensor), at::kFloat);
  expand(tensor.dtype, tensor.bytes, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  check(at::isfinite(values).all().item<bool>(), ErrorKind::corrupt, "{}: values that are not finite in {}",
        where, tensor.name);
  return transposed ? values.t() : values;
}

}  // namespace

std::vector<LowRankUpdate> read_factor_pairs(std::span<const StoredTensor> tensors, const FactorNames& names,
                                             const std::string& where) {
  std::vector<std::string> problems;
  const std::map<const Module*, Pair> pairs = pairs_of(tensors, names, problems);
  std::vector<LowRankUpdate> updates;
  for (const auto& [stem, module] : names.modules) {
    const auto found = pairs.find(module);
    if (found == pairs.end()) continue;
    const Pair& pair = found->second;
    if (!pair.a || !pair.b) {
      problems.push_back(fmt::format("missing {}{}", stem, pair.a ? b_suffix : a_suffix));
      continue;
    }
    for (const StoredTensor* tensor : {pair.a, pair.b}) {
      if (!can_expand(tensor->dtype))
        problems.push_back(fmt::format("{} has the type {}", tensor->name, info_of(tensor->dtype).name));
    }
    const std::optional<std::string> wrong = misshapen(*module, pair, names.layout(*module));
    if (wrong) problems.push_back(*wrong);
    const int64_t rank = matrix_shape(*pair.a)[names.layout(*module).a_transposed ? 1 : 0];
    updates.push_back({module, rank, 0, {}, {}});
  }
  if (problems.empty() && updates.empty()) problems.emplace_back("there are none");
  check_fits(problems, where, "the base model");
  for (LowRankUpdate& update : updates) {
    const Pair& pair = pairs.at(update.module);
    const FactorLayout layout = names.layout(*update.module);
    update.a = values_of(*pair.a, layout.a_transposed, where);
    update.b = values_of(*pair.b, layout.b_transposed, where);
  }
  std::ranges::sort(updates, {}, &LowRankUpdate::module);
  return updates;
}

}  // namespace lowrank
