#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/core/method.h"
#include "peft/low_rank/low_rank_options.h"
#include "peft/low_rank/low_rank_updates.h"

namespace lowrank {

/// How a method differs from plain s B A beside chosen weights (Hu et al. 2021, arXiv 2106.09685), whose
/// files are PEFT's LORA files. Parts that are not set are those of the plain method.
struct LowRankVariant {
  LowRankOptions options;     ///< with the variant's own defaults
  std::vector<Field> fields;  ///< its own options, in addition
  /// Changes the plan: what is frozen, rates, further parameters.
  std::function<void(TrainPlan&, const LowRankUpdates&)> plan;
  std::function<void(const ParameterSet&, const LowRankUpdates&)> bind;
  std::function<void(const Checkpoint&, const LowRankUpdates&)> read_base;
  /// Called after the plain initialisation of the factors.
  std::function<void(const Checkpoint&, const LowRankUpdates&)> initialise;
  std::function<void()> begin_step, after_step;
  /// Changes the patch of an adapted module.
  std::function<void(Patch&, const LowRankFactors&)> patch;
  std::function<LowRankForm(LowRankForm)> form;
  /// As Method::why_not_unmerged, if its patches need the base's own weights; empty: they do not.
  std::string why_not_unmerged;
  std::function<std::vector<FileTensor>(std::vector<FileTensor>)> file_tensors;
  /// Changes the written configuration.
  std::function<void(nlohmann::json&)> config;
  /// Removes the variant's own keys from a configuration, before the rest is read as the plain method's.
  std::function<void(nlohmann::json&, const std::string& where)> read_config;
};

/// The variant's functions are stored in the method; what they share must live as long.
std::unique_ptr<Method> make_low_rank_method(LowRankVariant variant);

/// True when a configuration is PEFT's LORA with this use_dora and an init_lora_weights that starts with one
/// of `inits` (empty: none is named).
bool is_low_rank_config(const nlohmann::json& config, bool use_dora, const std::vector<std::string>& inits);

}  // namespace lowrank
