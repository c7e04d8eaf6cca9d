#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "model/spec.h"
#include "peft/core/low_rank_form.h"
#include "peft/core/module_patterns.h"
#include "peft/core/target_options.h"

namespace lowrank {

/// The options of methods that add s B A to a weight, as in PEFT's LoraConfig.
struct LowRankOptions {
  int64_t rank = 8;
  double alpha = 16;
  std::string scaling = "alpha/r";
  double dropout = 0;
  Patterns rank_pattern, alpha_pattern;
  TargetOptions targets;
  std::vector<std::string> target_parameters;  ///< of experts and routers (peft/low_rank/expert_updates.h)
  std::string init = "true";                   ///< see `initialise_factors`
  bool lora_bias = false;
  std::string bias = "none";
  std::vector<std::string> modules_to_save;
  std::vector<int64_t> trainable_token_indices;
  bool ensure_weight_tying = false;

  std::vector<Field> fields();

  /// r of a module. Errors: invalid when the pattern does not give a whole number from 1 to `most_rank`.
  int64_t rank_of(const Module& module) const;
  /// s of a module with rank r: alpha / r, alpha / sqrt(r) or 1 / alpha. Errors: invalid when the pattern's
  /// alpha is not positive or is too large.
  double scale_of(const Module& module, int64_t rank) const;
};

/// The options with which a low-rank method has these updates, of which there must be at least one.
LowRankOptions low_rank_options(const std::vector<LowRankUpdate>& updates);

}  // namespace lowrank
