#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// Adds a sentence to `problems` for each label that cannot name a line of the table and a folder: one that
/// is given twice, is the base's, is longer than a line, or whose folder (run_store.h) another label has.
void check_labels(const std::vector<std::string>& labels, std::vector<std::string>& problems);

}  // namespace lowrank
