#pragma once

#include <filesystem>
#include <string>

#include "study/compare/comparison_report.h"

namespace lowrank {

/// The table of a comparison for readers, and one with commas, a line per method (RFC 4180).
std::string markdown_of(const ComparisonReport& report);
std::string csv_of(const ComparisonReport& report);

/// Writes results.json, results.md, results.csv, index.html, and quality.svg once a method has been measured.
/// Errors: io.
void write_report(const ComparisonReport& report, const std::filesystem::path& folder);

}  // namespace lowrank
