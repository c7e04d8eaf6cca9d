#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/line_plot.h"

namespace lowrank {

/// What the model made of a prompt during a run.
struct RunSample {
  int64_t step = 0;
  std::string prompt, generated;
  std::string reference = {};  ///< the row's own completion; may be empty
};

/// Rows with which the same was done.
struct RunRows {
  std::string what;                ///< "training rows cut to 512 tokens"
  std::vector<std::string> where;  ///< file and line of the first ones
  int64_t count = 0;               ///< of all
};

/// A page that shows a run.
struct RunPage {
  /// A table of names and values.
  using Facts = std::vector<std::pair<std::string, std::string>>;

  std::string title;
  std::string state;  ///< "step 120 of 350"
  bool ended = true;  ///< otherwise the page asks the browser to load it again every 30 seconds
  Facts results;
  std::vector<LinePlot> plots;
  std::vector<RunSample> samples;  ///< in order of steps
  std::vector<RunRows> rows;
  Facts configuration, environment;
};

/// The page as one HTML document: no scripts, and nothing is loaded from elsewhere. All texts are escaped.
/// Errors: as svg_of.
std::string html_of(const RunPage& page);

}  // namespace lowrank
