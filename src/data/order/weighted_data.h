#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// A value of `data`: which files, and how often an epoch takes their examples.
struct WeightedData {
  std::string pattern;  ///< as data_files takes it
  double weight = 1;
};

/// "rows.jsonl:2.0" as rows.jsonl with weight 2; a text without a number after its last colon, or one that a
/// file or folder has as its name, as that with weight 1. Errors: invalid for a weight that is not above 0
/// and at most 1000, and for a weight without files.
WeightedData weighted_data(std::string_view text);
std::vector<WeightedData> weighted_data(const std::vector<std::string>& texts);

/// The patterns alone. Errors: as weighted_data.
std::vector<std::string> patterns_of(const std::vector<std::string>& texts);

/// "rows.jsonl (weight 2), others.jsonl", for reports.
std::string words_for(const std::vector<WeightedData>& data);

}  // namespace lowrank
