#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/hooks.h"
#include "peft/adapted_modules.h"

namespace lowrank {

/// The options that LoHa and LoKr share, as PEFT has them (the LyCORIS family).
struct LycorisOptions {
  int64_t rank = 8;
  double alpha = 8;
  double rank_dropout = 0;    ///< share of output rows of the update that are dropped in training
  double module_dropout = 0;  ///< probability that a module's update is skipped in training
  Patterns rank_pattern, alpha_pattern;

  std::vector<Field> fields();
  int64_t rank_of(const Module& module) const;
  double scale_of(const Module& module) const;  ///< alpha / r

  /// Refuses patterns of the command line that match none of the modules.
  void check_patterns(const AdaptedModules& modules);
  /// After `check_patterns`.
  void write(nlohmann::json& config) const;
  void read(const nlohmann::json& config, const std::string& where);

  /// What training does to the rows of module `number`'s update: nothing (undefined), or factors [out], 0
  /// where a row is dropped. `divides`: the others are divided by the mask's mean.
  at::Tensor row_mask(const Context& context, const Module& module, size_t number, bool divides) const;
  bool skips(const Context& context, size_t number) const;

 private:
  std::vector<const Module*> modules_;
};

}  // namespace lowrank
