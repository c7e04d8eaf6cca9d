#include "peft/algebra/comparison.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "peft/algebra/factored_svd.h"

namespace lowrank {
namespace {

std::optional<double> overlap(const at::Tensor& basis, const at::Tensor& other) {
  const int64_t fewer = std::min(basis.size(1), other.size(1));
  if (fewer == 0) return std::nullopt;
  const double squares = at::mm(basis.t(), other).square().sum().item<double>();
  return std::min(squares / static_cast<double>(fewer), 1.0);
}

std::optional<double> cosine_of(double product, double norm, double other_norm) {
  if (norm == 0 || other_norm == 0) return std::nullopt;
  return std::clamp(product / norm / other_norm, -1.0, 1.0);
}

/// The sums that the figures for whole adapters are made from.
struct Totals {
  double product = 0, squares = 0, other_squares = 0;
  double inputs = 0, outputs = 0;
  int64_t overlaps = 0;
};

ModuleComparison compare_both(const FactoredUpdate& one, const FactoredUpdate& other, int64_t directions,
                              Totals& totals) {
  ModuleComparison module{one.module, norm_of(one), norm_of(other), {}, {}, {}};
  const double product = inner_product(one, other);
  totals.product += product;
  module.cosine = cosine_of(product, *module.norm, *module.other_norm);
  const UpdateSpaces spaces = spaces_of(one, directions);
  const UpdateSpaces other_spaces = spaces_of(other, directions);
  module.input_overlap = overlap(spaces.inputs, other_spaces.inputs);
  module.output_overlap = overlap(spaces.outputs, other_spaces.outputs);
  if (module.input_overlap) {
    totals.inputs += *module.input_overlap;
    totals.outputs += *module.output_overlap;
    ++totals.overlaps;
  }
  return module;
}

}  // namespace

UpdateSpaces spaces_of(const FactoredUpdate& update, int64_t directions) {
  const FactoredSvd svd = svd_of_product(update.b, update.a);
  int64_t kept = svd.numerical_rank();
  if (directions > 0) kept = std::min(kept, directions);
  return {svd.inputs.narrow(1, 0, kept), svd.outputs.narrow(1, 0, kept)};
}

void check_comparable(const FactoredAdapter& one, const FactoredAdapter& other) {
  std::vector<std::string> problems;
  for (const FactoredUpdate& update : one.updates) {
    const FactoredUpdate* same = other.find(update.module);
    if (!same || (same->a.size(1) == update.a.size(1) && same->b.size(0) == update.b.size(0))) continue;
    problems.push_back(fmt::format("{} is [{}, {}] in one and [{}, {}] in the other", one_line(update.module),
                                   update.b.size(0), update.a.size(1), same->b.size(0), same->a.size(1)));
  }
  check_fits(problems, one.where, "those of " + other.where,
             "only adapters of the same base can be compared");
}

AdapterComparison compare(const FactoredAdapter& one, const FactoredAdapter& other, int64_t directions) {
  const at::NoGradGuard no_grad;
  check_comparable(one, other);
  AdapterComparison comparison;
  Totals totals;
  for (const FactoredUpdate& update : one.updates) {
    throw_if_interrupted();
    const FactoredUpdate* same = other.find(update.module);
    comparison.modules.push_back(same ? compare_both(update, *same, directions, totals)
                                      : ModuleComparison{update.module, norm_of(update), {}, {}, {}, {}});
  }
  for (const FactoredUpdate& update : other.updates) {
    if (!one.find(update.module))
      comparison.modules.push_back({update.module, {}, norm_of(update), {}, {}, {}});
  }
  std::ranges::sort(comparison.modules, natural_less, &ModuleComparison::module);
  for (const ModuleComparison& module : comparison.modules) {
    totals.squares += std::pow(module.norm.value_or(0), 2);
    totals.other_squares += std::pow(module.other_norm.value_or(0), 2);
  }
  comparison.norm = std::sqrt(totals.squares);
  comparison.other_norm = std::sqrt(totals.other_squares);
  comparison.cosine = cosine_of(totals.product, comparison.norm, comparison.other_norm);
  if (totals.overlaps > 0) {
    comparison.input_overlap = totals.inputs / static_cast<double>(totals.overlaps);
    comparison.output_overlap = totals.outputs / static_cast<double>(totals.overlaps);
  }
  return comparison;
}

}  // namespace lowrank
