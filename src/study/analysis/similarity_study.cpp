#include "study/analysis/similarity_study.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "peft/algebra/comparison.h"
#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

/// Modules of an adapter that are selected, and those of them that the other adapter lacks.
struct SharedModules {
  std::vector<const FactoredUpdate*> shared;
  std::vector<std::string> alone;
};

SharedModules shared_with(const FactoredAdapter& one, const FactoredAdapter& other,
                          const AnalysisOptions& options) {
  SharedModules found;
  for (const FactoredUpdate& update : one.updates) {
    if (!is_selected(update.module, options.modules)) continue;
    if (other.find(update.module)) {
      found.shared.push_back(&update);
    } else {
      found.alone.push_back(update.module);
    }
  }
  return found;
}

void check_shared(const SharedModules& one, const SharedModules& other, const SimilarityStudy& study) {
  check(!one.shared.empty() || !one.alone.empty() || !other.alone.empty(), ErrorKind::invalid,
        "neither {} nor {} has a module that `modules` names", study.one, study.other);
  check(!one.shared.empty(), ErrorKind::invalid,
        "the two adapters have no module in common: {} has {}; {} has {}", study.one,
        one.alone.empty() ? "none" : words_for_modules(one.alone), study.other,
        other.alone.empty() ? "none" : words_for_modules(other.alone));
}

SimilarityGrids grids_of(const UpdateSpaces& one, const UpdateSpaces& other, at::Generator& generator) {
  const auto random = [&](const at::Tensor& basis) {
    return random_basis(basis.size(0), basis.size(1), generator);
  };
  SimilarityGrids grids;
  grids.inputs = similarity_of(one.inputs, other.inputs);
  grids.outputs = similarity_of(one.outputs, other.outputs);
  grids.random_inputs = similarity_of(random(one.inputs), random(other.inputs));
  grids.random_outputs = similarity_of(random(one.outputs), random(other.outputs));
  return grids;
}

SimilarityGrids mean_over(const std::vector<ModuleSimilarity>& modules, const std::vector<size_t>& members) {
  SimilarityGrids mean;
  for (SimilarityGrid SimilarityGrids::*grid :
       {&SimilarityGrids::inputs, &SimilarityGrids::outputs, &SimilarityGrids::random_inputs,
        &SimilarityGrids::random_outputs}) {
    std::vector<const SimilarityGrid*> all;
    all.reserve(members.size());
    for (const size_t member : members) all.push_back(&(modules[member].grids.*grid));
    mean.*grid = mean_of(all);
  }
  return mean;
}

}  // namespace

SimilarityStudy study_similarity(const FactoredAdapter& one, const FactoredAdapter& other,
                                 const AnalysisOptions& options, const AnalysisProgress& progress) {
  const at::NoGradGuard no_grad;
  check_comparable(one, other);
  SimilarityStudy study{one.where, other.where, {}, {}, {}, {}, {}};
  const SharedModules ours = shared_with(one, other, options);
  const SharedModules theirs = shared_with(other, one, options);
  check_shared(ours, theirs, study);
  study.only_one = ours.alone;
  study.only_other = theirs.alone;
  at::Generator generator = seeded_generator(static_cast<uint64_t>(options.seed));
  std::vector<ModulePlace> places;
  int64_t done = 0;
  for (const FactoredUpdate* update : ours.shared) {
    throw_if_interrupted();
    const UpdateSpaces spaces = spaces_of(*update, options.directions);
    const UpdateSpaces other_spaces = spaces_of(*other.find(update->module), options.directions);
    if (spaces.inputs.size(1) == 0 || other_spaces.inputs.size(1) == 0) {
      study.still.push_back(update->module);
    } else {
      places.push_back(place_of(update->module));
      study.modules.push_back({update->module, places.back(), grids_of(spaces, other_spaces, generator)});
    }
    if (progress) progress(++done, std::ssize(ours.shared));
  }
  check(!study.modules.empty(), ErrorKind::invalid,
        "no module that {} and {} share has an update in both: {}", study.one, study.other,
        words_for_modules(study.still));
  for (ModuleKind& kind : kinds_of(places))
    study.kinds.push_back({kind.kind, kind.members, mean_over(study.modules, kind.members)});
  return study;
}

}  // namespace lowrank
