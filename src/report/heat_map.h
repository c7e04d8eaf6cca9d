#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lowrank {

/// A matrix of numbers as a field of cells, darker the larger they are; the first row is at the top, and both
/// sides are counted from 1.
struct HeatMap {
  std::string title, row_label, column_label;
  int64_t rows = 0, columns = 0;
  std::vector<double> values;  ///< row by row
  double low = 0, high = 1;    ///< the values that are drawn palest and darkest
};

/// The map as an SVG document, 360 x 300, with a scale at its side; the same text for the same map. Labels
/// are escaped. Cells have the class `heat` and an opacity that grows with their value, so that one colour
/// serves light and dark pages; `page` and `frame` are classes as in `svg_of(LinePlot)`. Errors: invalid when
/// it has no cell, the number of values is another, a value is not finite, or low is not below high.
std::string svg_of(const HeatMap& map);

}  // namespace lowrank
