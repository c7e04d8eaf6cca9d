#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "session/session.h"
#include "session/training_data.h"
#include "study/dimension_report.h"
#include "study/dimension_search.h"

namespace lowrank {

/// How many dimensions does a task need? Options common to both ways of measuring it.
struct DimensionQuestion {
  SessionOptions session;
  TrainingDataOptions rows;
  std::string task = "auto", output;
  double share = 0.9;
  std::optional<int64_t> from, to;
  double precision = 1.25;

  std::vector<Field> fields();
};

/// Searches for the smallest dimension that reaches the report's goal: `run` returns the point of a
/// dimension, which is logged and added to the report. The report's files are written before the first run
/// and after each. Errors: those of `run`; interrupted, naming the folder.
void search_dimensions(DimensionReport& report, const DimensionRange& range,
                       const std::function<DimensionPoint(int64_t dimension)>& run,
                       const std::string& folder);

/// Refuses a reference that is no better than the base, since no share of it can be a goal. Errors: invalid.
void check_reference(const DimensionReport& report, const std::string& advice);

}  // namespace lowrank
