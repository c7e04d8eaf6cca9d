#pragma once

#include <string>
#include <vector>

#include "peft/algebra/factored_adapter.h"
#include "study/analysis/analysis_options.h"
#include "study/analysis/module_place.h"
#include "study/analysis/similarity.h"

namespace lowrank {

/// The four grids of a module, or their means over a kind.
struct SimilarityGrids {
  SimilarityGrid inputs;                         ///< of the right singular directions, the space of A
  SimilarityGrid outputs;                        ///< of the left singular directions, the space of B
  SimilarityGrid random_inputs, random_outputs;  ///< of random spaces with the same sizes
};

struct ModuleSimilarity {
  std::string module;
  ModulePlace place;
  SimilarityGrids grids;
};

struct KindSimilarity {
  std::string kind;
  std::vector<size_t> members;  ///< places in the list of modules
  SimilarityGrids mean;
};

/// How alike the spaces are in which two adapters change their base (figures 3 and 4 of the LoRA paper).
struct SimilarityStudy {
  std::string one, other;                 ///< the adapters
  std::vector<ModuleSimilarity> modules;  ///< in `natural_less` order
  std::vector<KindSimilarity> kinds;
  std::vector<std::string> only_one, only_other;  ///< modules that one adapter has alone
  std::vector<std::string> still;                 ///< modules whose update is zero in one of them
};

/// Compares the modules that both adapters have, from QR decompositions of their factors; no update is
/// formed. Errors: as check_comparable; invalid when they share no module that is selected and not zero;
/// interrupted.
SimilarityStudy study_similarity(const FactoredAdapter& one, const FactoredAdapter& other,
                                 const AnalysisOptions& options, const AnalysisProgress& progress = {});

}  // namespace lowrank
