#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A drawing of a page.
struct AnalysisFigure {
  std::string caption;
  std::string svg;  ///< as svg_of gives it
};

/// A part of a report: a table, drawings, or both.
struct AnalysisSection {
  std::string heading, text;
  std::vector<std::string> headings = {};           ///< of the table; empty: there is none
  std::vector<std::vector<std::string>> rows = {};  ///< of the table
  std::vector<AnalysisFigure> figures = {};         ///< on the page only
  bool detail = false;                              ///< not on the terminal, and folded on the page
};

/// What a study found, for readers and for programs.
struct AnalysisReport {
  std::string title;
  std::vector<std::string> notes;  ///< sentences
  std::vector<AnalysisSection> sections;
  nlohmann::ordered_json results;
};

/// Title, notes and tables as Markdown; `whole`: with the details.
std::string markdown_of(const AnalysisReport& report, bool whole);

/// One HTML document without scripts that loads nothing, for light and dark screens. All texts are escaped.
std::string page_of(const AnalysisReport& report);

/// Writes results.json (one line), results.md and index.html; each replaces an earlier one when it is
/// complete. Errors: io.
void write_report(const AnalysisReport& report, const std::filesystem::path& folder);

/// A number with six significant digits, for files of many numbers.
nlohmann::ordered_json short_number(double value);

/// The numbers as an array of such.
nlohmann::ordered_json short_numbers(const std::vector<double>& values);

}  // namespace lowrank
