#include "study/analysis/analysis_report.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/staged_folder.h"
#include "report/markup.h"
#include "report/table.h"
#include "study/compare/comparison_page.h"

namespace lowrank {
namespace {

/// What the page needs beyond the style of comparisons: the colours of drawings, and tables of words.
constexpr std::string_view drawing_style = R"(
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.charts.wide-ones { grid-template-columns: minmax(0, 56rem); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--text); }
svg .page { fill: var(--page); }
svg .grid { stroke: var(--line); }
svg .frame, svg .reference { stroke: var(--quiet); }
svg .heat { fill: var(--accent); }
section details > summary { margin: 1rem 0 .6rem; }
:root { --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #cc79a7; --series-4: #56b4e9;
  --series-5: #e69f00; --series-6: #6b6b6b; }
@media (prefers-color-scheme: dark) { :root { --series-0: #56b4e9; --series-1: #f0904a; --series-2: #3fcf9f;
  --series-3: #e7a6c8; --series-4: #9ad0f5; --series-5: #f2c14e; --series-6: #b0b0b0; } }
)";

/// The colours of the series of a chart, of which a page may show more than a chart of its own has.
std::string series_style() {
  constexpr int colours = 7;
  std::string style;
  for (int i = 0; i < colours; ++i)
    style += fmt::format(
        "svg polyline.series-{0} {{ stroke: var(--series-{0}); }} svg circle.series-{0} {{ fill: "
        "var(--series-{0}); }}\n",
        i);
  return style;
}

constexpr std::string_view head = R"(<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
)";

std::string html_row(const std::vector<std::string>& cells, bool heading) {
  std::string out = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i) {
    const char* name = heading || i == 0 ? "th" : "td";
    const char* scope = heading ? " scope=\"col\"" : i == 0 ? " scope=\"row\"" : "";
    out += fmt::format("<{0}{1}>{2}</{0}>", name, scope, escaped(cells[i]));
  }
  return out + "</tr>\n";
}

std::string table_of(const AnalysisSection& section) {
  if (section.headings.empty()) return {};
  std::string out = fmt::format(
      "<div class=\"wide\" role=\"group\" aria-label=\"{}\" tabindex=\"0\"><table>\n<thead>{}</thead>\n"
      "<tbody>\n",
      escaped(section.heading), html_row(section.headings, true));
  for (const std::vector<std::string>& row : section.rows) out += html_row(row, false);
  return out + "</tbody>\n</table></div>\n";
}

std::string figures_of(const AnalysisSection& section) {
  if (section.figures.empty()) return {};
  std::string out =
      section.figures.size() == 1 ? "<div class=\"charts wide-ones\">\n" : "<div class=\"charts\">\n";
  for (const AnalysisFigure& figure : section.figures) {
    out += "<figure>\n" + figure.svg;
    if (!figure.caption.empty()) out += fmt::format("<figcaption>{}</figcaption>\n", escaped(figure.caption));
    out += "</figure>\n";
  }
  return out + "</div>\n";
}

std::string section_of(const AnalysisSection& section) {
  const std::string text =
      section.text.empty() ? "" : fmt::format("<p class=\"quiet\">{}</p>\n", escaped(section.text));
  const std::string content = text + table_of(section) + figures_of(section);
  if (section.detail)
    return fmt::format("<section>\n<details><summary>{}</summary>\n{}</details>\n</section>\n",
                       escaped(section.heading), content);
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", escaped(section.heading), content);
}

}  // namespace

std::string markdown_of(const AnalysisReport& report, bool whole) {
  std::string out = fmt::format("# {}\n", report.title);
  for (const std::string& note : report.notes) out += "\n" + note + "\n";
  for (const AnalysisSection& section : report.sections) {
    if ((section.detail && !whole) || section.headings.empty()) continue;
    out += fmt::format("\n## {}\n", section.heading);
    if (!section.text.empty()) out += "\n" + section.text + "\n";
    out += "\n" + markdown_table(section.headings, section.rows);
  }
  return out;
}

std::string page_of(const AnalysisReport& report) {
  std::string out = fmt::format("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>{}</title>\n{}<style>\n",
                                escaped(report.title), head);
  out += comparison_asset("comparison.css");
  out += drawing_style;
  out += series_style();
  out += fmt::format("</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n", escaped(report.title));
  for (const std::string& note : report.notes) out += fmt::format("<p>{}</p>\n", escaped(note));
  for (const AnalysisSection& section : report.sections) out += section_of(section);
  return out + "</main>\n</body>\n</html>\n";
}

void write_report(const AnalysisReport& report, const std::filesystem::path& folder) {
  make_folders(folder);
  write_file_atomically(folder / "results.json", json_text(report.results) + "\n");
  write_file_atomically(folder / "results.md", markdown_of(report, true));
  write_file_atomically(folder / "index.html", page_of(report));
}

nlohmann::ordered_json short_number(double value) {
  return std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr);
}

nlohmann::ordered_json short_numbers(const std::vector<double>& values) {
  nlohmann::ordered_json numbers = nlohmann::ordered_json::array();
  for (const double value : values) numbers.push_back(short_number(value));
  return numbers;
}

}  // namespace lowrank
