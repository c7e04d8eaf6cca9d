#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "peft/algebra/factored_adapter.h"
#include "peft/files/adapter_file.h"
#include "study/analysis/analysis_options.h"
#include "study/analysis/module_place.h"
#include "study/analysis/spectrum.h"

namespace lowrank {

struct ModuleSpectrum {
  std::string module;
  ModulePlace place;
  int64_t out = 0, in = 0;
  Spectrum spectrum;                       ///< of the update
  std::optional<double> weight_norm = {};  ///< of the weight that it changes, where that was read
};

/// Figures of a spectrum, or their means.
struct SpectrumFigures {
  double norm = 0;
  std::optional<double> share = {};           ///< of the weight's norm
  double half = 0, most = 0, nearly_all = 0;  ///< directions that hold 50, 90 and 99 % of the energy
  double effective_rank = 0, stable_rank = 0;
};

struct KindSpectrum {
  std::string kind;
  std::vector<size_t> members;  ///< places in the list of modules
  int64_t out = 0, in = 0;      ///< of the first member
  SpectrumFigures mean;
  std::vector<double> held;  ///< mean share of the energy that the first 1, 2, ... directions hold
  SpectrumFigures random;    ///< of a random matrix of that shape (and rank); its norm means nothing
};

/// How many directions the updates of a model's weights have: the hypothesis of the LoRA paper.
struct SpectrumStudy {
  std::string what;  ///< the update: "r8", "tuned - base"
  std::vector<ModuleSpectrum> modules;
  std::vector<KindSpectrum> kinds;
  std::vector<std::string> still;  ///< modules whose update is zero
};

SpectrumFigures figures_of(const Spectrum& spectrum, std::optional<double> weight_norm);

/// The updates s B A of an adapter, from QR decompositions of the factors. Errors: invalid when nothing is
/// selected or all updates are zero; interrupted.
SpectrumStudy study_spectrum(const FactoredAdapter& adapter, const AnalysisOptions& options,
                             const AnalysisProgress& progress = {});

/// The differences of two models' linear layers, one at a time. Errors: as check_tuned_form and
/// finite_values; as above.
SpectrumStudy study_spectrum(const Checkpoint& base, const Checkpoint& tuned, const AnalysisOptions& options,
                             const AnalysisProgress& progress = {});

/// What an adapter of any method that changes weights makes of the base's linear layers: W' - W of the merged
/// weights. Errors: as above; unsupported for a method that changes none.
SpectrumStudy study_spectrum(const Checkpoint& base, const Adapter& adapter, const AnalysisOptions& options,
                             const AnalysisProgress& progress = {});

}  // namespace lowrank
