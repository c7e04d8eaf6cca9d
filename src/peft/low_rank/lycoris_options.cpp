#include "peft/low_rank/lycoris_options.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "base/rng.h"
#include "peft/core/target_options.h"

namespace lowrank {
namespace {

/// Streams of a micro-batch's dropout seed.
constexpr uint64_t row_stream = 1ULL << 40;
constexpr uint64_t module_stream = 2ULL << 40;

}  // namespace

std::vector<Field> LycorisOptions::fields() {
  return {
      limited(field("rank", rank, "r"), 1, 1 << 16),
      field("alpha", alpha, "the update is multiplied by alpha / r"),
      limited(field("rank_dropout", rank_dropout, "share of the update's rows that are dropped in training"),
              0, 0.99),
      limited(field("module_dropout", module_dropout,
                    "probability that a module's update is skipped in training"),
              0, 0.99),
      field("rank_pattern", rank_pattern, "other ranks for the modules that a regular expression matches"),
      field("alpha_pattern", alpha_pattern,
            "other values of alpha for the modules that a regular expression matches")};
}

int64_t LycorisOptions::rank_of(const Module& module) const {
  return pattern_rank(rank_pattern, module.name, rank);
}

double LycorisOptions::scale_of(const Module& module) const {
  return pattern_value(alpha_pattern, module.name, alpha) / static_cast<double>(rank_of(module));
}

void LycorisOptions::check_patterns(const AdaptedModules& modules) {
  modules_ = modules.modules();
  if (modules.targets.from_file) return;
  lowrank::check_patterns(rank_pattern, "rank_pattern", modules.modules());
  lowrank::check_patterns(alpha_pattern, "alpha_pattern", modules.modules());
}

void LycorisOptions::write(nlohmann::json& config) const {
  config["r"] = rank;
  config["alpha"] = json_number(alpha);
  config["rank_dropout"] = rank_dropout;
  config["module_dropout"] = module_dropout;
  config["rank_pattern"] = write_patterns(rank_pattern, modules_);
  config["alpha_pattern"] = write_patterns(alpha_pattern, modules_);
  config["init_weights"] = true;
}

void LycorisOptions::read(const nlohmann::json& config, const std::string& where) {
  apply(fields(),
        given_values(config, {{"r", "rank"},
                              {"alpha", "alpha"},
                              {"rank_dropout", "rank_dropout"},
                              {"module_dropout", "module_dropout"},
                              {"rank_pattern", "rank_pattern"},
                              {"alpha_pattern", "alpha_pattern"}}),
        where);
}

at::Tensor LycorisOptions::row_mask(const Context& context, const Module& module, size_t number, bool divides,
                                    at::Device device) const {
  if (!context.training || rank_dropout <= 0) return {};
  Philox random(derive_seed(context.dropout_seed, row_stream + number));
  std::vector<float> mask(module.out);
  double kept = 0;
  for (float& value : mask) kept += value = random.uniform() >= rank_dropout ? 1 : 0;
  const double mean = kept / static_cast<double>(module.out);
  return at::tensor(mask).to(device) / (divides && mean > 0 ? mean : 1.0);
}

bool LycorisOptions::skips(const Context& context, size_t number) const {
  if (!context.training || module_dropout <= 0) return false;
  return Philox(derive_seed(context.dropout_seed, module_stream + number)).uniform() < module_dropout;
}

}  // namespace lowrank
