#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// What all studies of updates can be told.
struct AnalysisOptions {
  int64_t directions = 0;                 ///< how many of the strongest are used; 0: all
  std::vector<std::string> modules = {};  ///< names or dotted ends of those that are studied; empty: all
  int64_t seed = 0;                       ///< of the random spaces that results are compared with

  /// The options `modules` and `seed`, with the present values as their defaults.
  std::vector<Field> fields();
  /// The option `directions`, for the studies that cut updates to their strongest directions.
  Field directions_field();
};

/// Called after each of `total` modules.
using AnalysisProgress = std::function<void(int64_t done, int64_t total)>;

}  // namespace lowrank
