#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "study/compare/comparison_options.h"
#include "study/compare/comparison_report.h"

namespace lowrank {

/// Refuses a configuration with mistakes, all at once: those of reading it (`problems`) and those that show
/// when all runs are planned. Errors: invalid.
ComparisonPlan checked_plan(const ComparisonOptions& options, std::vector<std::string> problems);

/// Trains each method with each seed on one base, after a search for its learning rate, and compares what
/// came of it. After each run the tables and the page in `output` are written anew. Runs that an earlier call
/// with the same configuration finished are taken from the folder. Errors: as checked_plan and
/// RunStore::keep_configuration; interrupted, with all finished runs in the folder.
ComparisonReport compare_methods(const ComparisonOptions& options, bool overwrite);

}  // namespace lowrank
