#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "session/run_samples.h"
#include "train/options.h"
#include "train/run_plan.h"

namespace lowrank {

/// What the advice on a run depends on.
struct RunFacts {
  const TrainOptions& train;
  const SampleOptions& samples;
  RunPlan plan;
  int64_t examples = 0;             ///< of the training rows
  int64_t evaluation_examples = 0;  ///< 0: nothing is evaluated
  std::string_view method;
  double default_learning_rate = 0;
  bool whole_weights = false;  ///< the method trains the base's own tensors
};

/// Sentences on options that probably do not do what was meant: each names the option and says what to do.
std::vector<std::string> run_warnings(const RunFacts& facts);

/// Refuses options that ask for evaluations of a run that has none. Errors: invalid.
void check_evaluated(const TrainOptions& options, bool evaluates);

}  // namespace lowrank
