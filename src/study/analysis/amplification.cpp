#include "study/analysis/amplification.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/one_line.h"
#include "peft/algebra/factored_svd.h"
#include "peft/algebra/low_rank_fit.h"
#include "peft/conversion/as_low_rank.h"
#include "peft/conversion/tuned_form.h"
#include "peft/core/low_rank_init.h"
#include "study/analysis/similarity.h"
#include "study/analysis/spectrum.h"

namespace lowrank {
namespace {

double norm_of_first(const at::Tensor& values, int64_t count) {
  return std::sqrt(values.narrow(0, 0, count).to(at::kDouble).square().sum().item<double>());
}

/// The most that r directions of a matrix can hold.
double strongest_norm(const at::Tensor& weight, int64_t directions) {
  constexpr int64_t exact_side = 2048, oversampling = 10, rounds = 12;
  const int64_t side = std::min(weight.size(0), weight.size(1));
  if (side <= exact_side || directions + oversampling > side / 3)
    return norm_of_first(singular_values(weight), directions);
  return norm_of_first(leading_singular_vectors(weight, directions + oversampling, rounds).s, directions);
}

/// Modules of the adapter that are selected, and what they are in the base.
std::vector<std::pair<const FactoredUpdate*, const Module*>> placed_updates(const FactoredAdapter& adapter,
                                                                            const Checkpoint& base,
                                                                            const AnalysisOptions& options) {
  std::vector<std::pair<const FactoredUpdate*, const Module*>> placed;
  std::vector<std::string> problems;
  for (const FactoredUpdate& update : adapter.updates) {
    if (!is_selected(update.module, options.modules)) continue;
    const Module* module = base.spec().find_module(update.module);
    const TensorRef* tensor = base.spec().find_tensor(update.module + ".weight");
    if (!module || !tensor || tensor->shape.size() != 2) {
      problems.push_back(fmt::format("the model has no {}", one_line(update.module)));
      continue;
    }
    const int64_t rows = tensor->shape[module->is_linear() ? 0 : 1];
    const int64_t columns = tensor->shape[module->is_linear() ? 1 : 0];
    if (rows != update.b.size(0) || columns != update.a.size(1)) {
      problems.push_back(fmt::format("{} is [{}, {}] in the adapter and [{}, {}] in the model",
                                     one_line(update.module), update.b.size(0), update.a.size(1), rows,
                                     columns));
    }
    placed.emplace_back(&update, module);
  }
  check_fits(problems, adapter.where, base.path().string());
  check(!placed.empty(), ErrorKind::invalid, "{} has no module that `modules` names", adapter.where);
  return placed;
}

/// The middle value, or the mean of the middle two.
double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Amplification summary_over(const std::vector<ModuleAmplification>& modules,
                           const std::vector<size_t>& members) {
  Amplification summary;
  const auto count = static_cast<double>(members.size());
  std::vector<double> factors;
  for (const size_t member : members) {
    const Amplification& one = modules[member].found;
    for (double Amplification::*figure :
         {&Amplification::directions, &Amplification::weight_norm, &Amplification::update_norm,
          &Amplification::kept_norm, &Amplification::along_update, &Amplification::along_weight,
          &Amplification::along_random})
      summary.*figure += one.*figure / count;
    if (one.factor) factors.push_back(*one.factor);
  }
  // A weight may have almost nothing in a direction, and the mean would be that module's factor.
  if (!factors.empty()) summary.factor = median_of(std::move(factors));
  return summary;
}

}  // namespace

double norm_along(const at::Tensor& weight, const at::Tensor& outputs, const at::Tensor& inputs) {
  constexpr int64_t block_values = int64_t{1} << 22;
  const at::Tensor u = outputs.to(at::kDouble), v = inputs.to(at::kDouble);
  const int64_t rows = std::max<int64_t>(1, block_values / weight.size(1));
  at::Tensor product = at::zeros({u.size(1), v.size(1)}, at::kDouble);
  for (int64_t begin = 0; begin < weight.size(0); begin += rows) {
    const int64_t count = std::min(rows, weight.size(0) - begin);
    product.addmm_(u.narrow(0, begin, count).t(), at::mm(weight.narrow(0, begin, count).to(at::kDouble), v));
  }
  return std::sqrt(product.square().sum().item<double>());
}

std::optional<Amplification> amplification_of(const FactoredUpdate& update, const at::Tensor& weight,
                                              int64_t directions, at::Generator& generator) {
  const at::NoGradGuard no_grad;
  const FactoredSvd svd = svd_of_product(update.b, update.a);
  int64_t kept = svd.numerical_rank();
  if (directions > 0) kept = std::min(kept, directions);
  if (kept == 0 || update.scale == 0) return std::nullopt;
  Amplification found;
  found.directions = static_cast<double>(kept);
  found.weight_norm = std::sqrt(weight.to(at::kDouble).square().sum().item<double>());
  found.update_norm = norm_of(update);
  found.kept_norm = std::abs(update.scale) * norm_of_first(svd.strengths, kept);
  found.along_update = norm_along(weight, svd.outputs.narrow(1, 0, kept), svd.inputs.narrow(1, 0, kept));
  found.along_weight = strongest_norm(weight, kept);
  const at::Tensor outputs = random_basis(weight.size(0), kept, generator);
  found.along_random = norm_along(weight, outputs, random_basis(weight.size(1), kept, generator));
  if (found.along_update > 0) found.factor = found.kept_norm / found.along_update;
  return found;
}

AmplificationStudy study_amplification(const FactoredAdapter& adapter, const Checkpoint& base,
                                       const AnalysisOptions& options, const AnalysisProgress& progress) {
  const at::NoGradGuard no_grad;
  AmplificationStudy study{adapter.where, base.path().string(), {}, {}, {}};
  const auto placed = placed_updates(adapter, base, options);
  at::Generator generator = seeded_generator(static_cast<uint64_t>(options.seed));
  std::vector<ModulePlace> places;
  int64_t done = 0;
  for (const auto& [update, module] : placed) {
    throw_if_interrupted();
    const TensorRef& tensor = *base.spec().find_tensor(update->module + ".weight");
    const at::Tensor weight = as_update_matrix(finite_values(base, tensor), *module);
    if (const auto found = amplification_of(*update, weight, options.directions, generator)) {
      places.push_back(place_of(update->module));
      study.modules.push_back({update->module, places.back(), *found});
    } else {
      study.still.push_back(update->module);
    }
    base.forget_pages();
    if (progress) progress(++done, std::ssize(placed));
  }
  base.check_unchanged();
  check(!study.modules.empty(), ErrorKind::invalid, "every update of {} is zero: {}", adapter.where,
        words_for_modules(study.still));
  for (ModuleKind& kind : kinds_of(places))
    study.kinds.push_back({kind.kind, kind.members, summary_over(study.modules, kind.members)});
  return study;
}

}  // namespace lowrank
