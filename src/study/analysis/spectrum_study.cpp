#include "study/analysis/spectrum_study.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "peft/algebra/factored_svd.h"
#include "peft/conversion/tuned_form.h"
#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

/// The spectrum of a random update with the form of a module's.
using RandomSpectrum = std::function<Spectrum(const ModuleSpectrum&)>;

SpectrumFigures mean_over(const std::vector<ModuleSpectrum>& modules, const std::vector<size_t>& members) {
  SpectrumFigures mean;
  const auto count = static_cast<double>(members.size());
  double shares = 0;
  bool all_read = true;
  for (const size_t member : members) {
    const SpectrumFigures one = figures_of(modules[member].spectrum, modules[member].weight_norm);
    for (double SpectrumFigures::*figure :
         {&SpectrumFigures::norm, &SpectrumFigures::half, &SpectrumFigures::most,
          &SpectrumFigures::nearly_all, &SpectrumFigures::effective_rank, &SpectrumFigures::stable_rank})
      mean.*figure += one.*figure / count;
    all_read = all_read && one.share.has_value();
    shares += one.share.value_or(0) / count;
  }
  if (all_read) mean.share = shares;
  return mean;
}

/// The mean of curves; one that ends early has reached 1.
std::vector<double> mean_held(const std::vector<ModuleSpectrum>& modules,
                              const std::vector<size_t>& members) {
  std::vector<double> mean;
  for (const size_t member : members)
    mean.resize(std::max(mean.size(), modules[member].spectrum.values.size()));
  for (const size_t member : members) {
    const std::vector<double> held = modules[member].spectrum.held();
    for (size_t i = 0; i < mean.size(); ++i)
      mean[i] += (i < held.size() ? held[i] : 1) / static_cast<double>(members.size());
  }
  return mean;
}

void check_found(const SpectrumStudy& study) {
  check(!study.modules.empty() || !study.still.empty(), ErrorKind::invalid,
        "{} has no module that `modules` names", study.what);
  check(!study.modules.empty(), ErrorKind::invalid, "{}: every update is zero: {}", study.what,
        words_for_modules(study.still));
}

void add_kinds(SpectrumStudy& study, const RandomSpectrum& random) {
  std::vector<ModulePlace> places;
  for (const ModuleSpectrum& module : study.modules) places.push_back(module.place);
  for (ModuleKind& kind : kinds_of(places)) {
    throw_if_interrupted();
    const ModuleSpectrum& first = study.modules[kind.members.front()];
    study.kinds.push_back({kind.kind, kind.members, first.out, first.in,
                           mean_over(study.modules, kind.members), mean_held(study.modules, kind.members),
                           figures_of(random(first), std::nullopt)});
  }
}

void add_module(SpectrumStudy& study, const std::string& name, int64_t out, int64_t in, Spectrum spectrum,
                std::optional<double> weight_norm) {
  if (spectrum.values.empty() || spectrum.values.front() == 0) {
    study.still.push_back(name);
  } else {
    study.modules.push_back({name, place_of(name), out, in, std::move(spectrum), weight_norm});
  }
}

double norm_of_values(const at::Tensor& values) {
  return std::sqrt(values.square().sum(at::kDouble).item<double>());
}

/// The weights of linear layers that files hold and the options select.
std::vector<const TensorRef*> selected_weights(const Checkpoint& base, const AnalysisOptions& options,
                                               const std::function<bool(const TensorRef&)>& takes) {
  std::vector<const TensorRef*> weights;
  for (const TensorRef& tensor : base.spec().tensors) {
    const Module* module = tensor.is_weight() ? base.spec().find_module(tensor.module_name()) : nullptr;
    if (module && module->is_linear() && is_selected(module->name, options.modules) && takes(tensor))
      weights.push_back(&tensor);
  }
  return weights;
}

/// Spectra of changes of weights; `changed` gives that of one.
void add_changes(SpectrumStudy& study, const Checkpoint& base, const std::vector<const TensorRef*>& weights,
                 const AnalysisOptions& options, const AnalysisProgress& progress,
                 const std::function<at::Tensor(const TensorRef&, const at::Tensor&)>& changed) {
  int64_t done = 0;
  for (const TensorRef* tensor : weights) {
    throw_if_interrupted();
    const at::Tensor weight = finite_values(base, *tensor);
    const double weight_norm = norm_of_values(weight);
    const at::Tensor change = changed(*tensor, weight);
    check(at::isfinite(change).all().item<bool>(), ErrorKind::invalid,
          "{}: the change of {} holds values that are not finite", study.what, tensor->name);
    const bool still = !change.any().item<bool>();
    add_module(study, std::string(tensor->module_name()), tensor->shape[0], tensor->shape[1],
               still ? Spectrum() : Spectrum(singular_values(change)), weight_norm);
    base.forget_pages();
    if (progress) progress(++done, std::ssize(weights));
  }
  base.check_unchanged();
  check_found(study);
  at::Generator generator = seeded_generator(static_cast<uint64_t>(options.seed));
  std::map<std::pair<int64_t, int64_t>, Spectrum> by_shape;
  add_kinds(study, [&](const ModuleSpectrum& module) {
    Spectrum& random = by_shape[{module.out, module.in}];
    if (random.values.empty())
      random = Spectrum(singular_values(at::randn({module.out, module.in}, generator)));
    return random;
  });
}

}  // namespace

SpectrumFigures figures_of(const Spectrum& spectrum, std::optional<double> weight_norm) {
  SpectrumFigures figures;
  figures.norm = spectrum.norm();
  if (weight_norm && *weight_norm > 0) figures.share = figures.norm / *weight_norm;
  figures.half = static_cast<double>(spectrum.directions_holding(0.5));
  figures.most = static_cast<double>(spectrum.directions_holding(0.9));
  figures.nearly_all = static_cast<double>(spectrum.directions_holding(0.99));
  figures.effective_rank = spectrum.effective_rank();
  figures.stable_rank = spectrum.stable_rank();
  return figures;
}

SpectrumStudy study_spectrum(const FactoredAdapter& adapter, const AnalysisOptions& options,
                             const AnalysisProgress& progress) {
  const at::NoGradGuard no_grad;
  SpectrumStudy study{adapter.where, {}, {}, {}};
  int64_t done = 0;
  for (const FactoredUpdate& update : adapter.updates) {
    throw_if_interrupted();
    if (is_selected(update.module, options.modules)) {
      const FactoredSvd svd = svd_of_product(update.b, update.a);
      add_module(study, update.module, update.b.size(0), update.a.size(1),
                 Spectrum(svd.strengths * std::abs(update.scale)), std::nullopt);
    }
    if (progress) progress(++done, std::ssize(adapter.updates));
  }
  check_found(study);
  at::Generator generator = seeded_generator(static_cast<uint64_t>(options.seed));
  add_kinds(study, [&](const ModuleSpectrum& module) {
    const auto rank = static_cast<int64_t>(module.spectrum.values.size());
    const at::Tensor b = at::randn({module.out, rank}, generator);
    return Spectrum(svd_of_product(b, at::randn({rank, module.in}, generator)).strengths);
  });
  return study;
}

SpectrumStudy study_spectrum(const Checkpoint& base, const Checkpoint& tuned, const AnalysisOptions& options,
                             const AnalysisProgress& progress) {
  const at::NoGradGuard no_grad;
  check_tuned_form(base, tuned);
  SpectrumStudy study{fmt::format("{} - {}", tuned.path().string(), base.path().string()), {}, {}, {}};
  const auto weights = selected_weights(base, options, [&](const TensorRef& tensor) {
    return is_stored(base, tensor) || is_stored(tuned, *tuned.spec().find_tensor(tensor.name));
  });
  add_changes(study, base, weights, options, progress,
              [&](const TensorRef& tensor, const at::Tensor& weight) {
                at::Tensor change = finite_values(tuned, *tuned.spec().find_tensor(tensor.name)).sub_(weight);
                tuned.forget_pages();
                return change;
              });
  tuned.check_unchanged();
  return study;
}

SpectrumStudy study_spectrum(const Checkpoint& base, const Adapter& adapter, const AnalysisOptions& options,
                             const AnalysisProgress& progress) {
  const at::NoGradGuard no_grad;
  SpectrumStudy study{std::string(adapter.info->name), {}, {}, {}};
  const auto merges = [&](const TensorRef& tensor) { return adapter.method->merges(tensor); };
  check(!selected_weights(base, {}, merges).empty(), ErrorKind::unsupported,
        "{} changes no weight of a linear layer, so its update has no spectrum", study.what);
  add_changes(study, base, selected_weights(base, options, merges), options, progress,
              [&](const TensorRef& tensor, const at::Tensor& weight) {
                const std::optional<at::Tensor> merged = adapter.method->merged(tensor, weight);
                return merged ? merged->to(at::kFloat) - weight : weight - weight;
              });
  return study;
}

}  // namespace lowrank
