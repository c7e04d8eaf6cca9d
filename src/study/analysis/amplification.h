#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Generator.h>

#include "model/checkpoint.h"
#include "peft/algebra/factored_adapter.h"
#include "study/analysis/analysis_options.h"
#include "study/analysis/module_place.h"

namespace lowrank {

/// |U^T W V|_F of a weight W [out, in] and orthonormal columns U [out, r], V [in, r]: how much of W lies in
/// the directions from V to U. In f64, by blocks of rows.
double norm_along(const at::Tensor& weight, const at::Tensor& outputs, const at::Tensor& inputs);

/// What an update D does to its weight W (table 7 of Hu et al. 2021, arXiv 2106.09685), with r directions.
/// All norms are Frobenius norms; U, V are the r strongest left and right singular directions of a matrix.
struct Amplification {
  double directions = 0;              ///< r
  double weight_norm = 0;             ///< |W|
  double update_norm = 0;             ///< |D|
  double kept_norm = 0;               ///< |U^T D V| of D's own U, V: |D| if r is its rank
  double along_update = 0;            ///< |U^T W V|, U and V of D
  double along_weight = 0;            ///< the same with those of W, the most that r directions can hold
  double along_random = 0;            ///< the same with those of a random matrix
  std::optional<double> factor = {};  ///< kept_norm / along_update; nothing where W has nothing there
};

struct ModuleAmplification {
  std::string module;
  ModulePlace place;
  Amplification found;
};

struct KindAmplification {
  std::string kind;
  std::vector<size_t> members;  ///< places in the list of modules
  Amplification summary;        ///< means of the norms and the median factor
};

struct AmplificationStudy {
  std::string adapter, base;
  std::vector<ModuleAmplification> modules;
  std::vector<KindAmplification> kinds;
  std::vector<std::string> still;  ///< modules whose update is zero
};

/// The figures of one module; nothing for an update that is zero. `directions`: 0 takes all. `along_weight`
/// is exact where a side of W is at most 2048, else from a subspace iteration, which gives a little less.
std::optional<Amplification> amplification_of(const FactoredUpdate& update, const at::Tensor& weight,
                                              int64_t directions, at::Generator& generator);

/// The figures of every module that an adapter changes and the options select, one weight at a time. Errors:
/// invalid, listing modules that the base lacks or has in another shape, when values of the base are not
/// finite, when nothing is selected or all updates are zero; interrupted.
AmplificationStudy study_amplification(const FactoredAdapter& adapter, const Checkpoint& base,
                                       const AnalysisOptions& options, const AnalysisProgress& progress = {});

}  // namespace lowrank
