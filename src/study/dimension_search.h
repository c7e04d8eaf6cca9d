#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace lowrank {

/// Where to search for the smallest sufficient dimension, and how finely.
struct DimensionRange {
  int64_t from = 1, to = 1;   ///< bounds, both included
  double precision = 1.25;    ///< the result is at most this many times a dimension that does not suffice
  double factor = 4;          ///< between two rungs of the ladder
  bool whole_ladder = false;  ///< every rung is tried, for a curve up to `to`
};

/// A dimension that was tried.
struct TriedDimension {
  int64_t dimension = 0;
  double quality = 0;
};

struct DimensionSearch {
  std::vector<TriedDimension> tried;  ///< sorted by dimension, each once
  std::optional<int64_t> smallest;    ///< that reaches the goal; nullopt if none tried does
};

/// The smallest dimension d with quality(d) >= goal: a geometric ladder from `from` up to the first rung that
/// reaches the goal (the last rung is `to`), then bisection in log d between the last miss before it and the
/// smallest hit, until hit / miss <= precision or no whole number lies between. Quality is assumed to rise
/// with d; if noise makes it fall, the result is still a dimension that reaches the goal, and the smallest
/// one tried that does. If `from` reaches the goal, it is the result, even though a smaller one might
/// suffice. Errors: invalid for an empty range, a factor or a precision of 1 or less; those of `quality`.
DimensionSearch smallest_dimension(const std::function<double(int64_t)>& quality, double goal,
                                   const DimensionRange& range);

}  // namespace lowrank
