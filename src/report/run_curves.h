#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "report/line_plot.h"

namespace lowrank {

/// The charts of a run from the records of its metrics.jsonl: loss (of steps, smoothed, of evaluations),
/// learning rate, gradient norm, tokens per second, each over steps. Of long runs each point is a mean over
/// neighbouring steps. Charts without a point are left out.
std::vector<LinePlot> run_plots(const std::vector<nlohmann::ordered_json>& records);

}  // namespace lowrank
