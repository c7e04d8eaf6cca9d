#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "model/hooks.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/module_patterns.h"

namespace lowrank {

/// The options that LoHa and LoKr (the LyCORIS family) share, as in PEFT.
struct LycorisOptions {
  int64_t rank = 8;
  double alpha = 8;
  double rank_dropout = 0;    ///< share of the update's output rows that is dropped in training
  double module_dropout = 0;  ///< probability that a module's update is skipped in training
  Patterns rank_pattern, alpha_pattern;

  std::vector<Field> fields();
  int64_t rank_of(const Module& module) const;
  double scale_of(const Module& module) const;  ///< alpha / r

  /// Rejects command-line patterns that match none of the modules.
  void check_patterns(const AdaptedModules& modules);
  /// After `check_patterns`.
  void write(nlohmann::json& config) const;
  void read(const nlohmann::json& config, const std::string& where);

  /// Factors [out], on the device, for the rows of module `number`'s update in training, 0 for dropped rows;
  /// undefined without row dropout. `divides`: the factors are divided by the mask's mean.
  at::Tensor row_mask(const Context& context, const Module& module, size_t number, bool divides,
                      at::Device device) const;
  bool skips(const Context& context, size_t number) const;

 private:
  std::vector<const Module*> modules_;
};

}  // namespace lowrank
