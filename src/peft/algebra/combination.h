#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "peft/algebra/factored_adapter.h"

namespace lowrank {

/// How several adapters become one: PEFT's `LoraModel.add_weighted_adapter` (0.21).
struct CombinationOptions {
  std::string type = "cat";
  std::vector<double> weights;    ///< w_i, one for each adapter, of any sign
  std::optional<double> density;  ///< share of values that stays
  std::string majority_sign_method = "total";
  std::optional<int64_t> rank;      ///< of the result, for types that end in svd
  std::optional<double> svd_clamp;  ///< quantile that bounds the factors' values; from 0.5
  int64_t seed = 0;                 ///< of the random masks

  std::vector<Field> fields();
};

/// One adapter that stands for the weighted adapters, with D_i = s_i B_i A_i:
///   cat:     D = sum w_i D_i exactly, the factors side by side; its rank is the sum of the ranks;
///   svd:     the best approximation of that sum of rank `rank` (by default the highest of theirs);
///   linear:  A = sum sign(w_i s_i) sqrt|w_i s_i| A_i and B = sum sqrt|w_i s_i| B_i, for equal ranks;
///   ties, dare_linear, dare_ties, magnitude_prune: as linear, each factor with its MergeRule;
///   the same with _svd: the rule on the D_i in full, then the SVD.
/// A module that only some adapters have is combined from those. All modules have the same rank (with zeros
/// where there is less) and s = 1: lora_alpha = r. Differences from PEFT: the result never has use_rslora or
/// patterns, with which PEFT would scale it once more or could not load it. `names` are the adapters' for
/// errors. A single adapter is always combined linearly.
///
/// Errors: invalid for a number of weights that is not that of the adapters, a missing density, options that
/// do not belong to the type, ranks that linear types cannot add, shapes that differ (other bases), a mixture
/// of lists and expressions as target_modules, modules that several adapters train in full; unsupported for
/// what an adapter trains beside the factors; interrupted.
FactoredAdapter combine(const std::vector<FactoredAdapter>& adapters, const std::vector<std::string>& names,
                        const CombinationOptions& options);

/// The tensors of an adapter file that holds these updates and modules; scales must be 1.
std::vector<FileTensor> tensors_of(const FactoredAdapter& adapter);

}  // namespace lowrank
