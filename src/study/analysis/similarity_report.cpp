#include "study/analysis/similarity_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/one_line.h"
#include "report/heat_map.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const SimilarityGrid& grid) {
  Json rows = Json::array();
  for (int64_t i = 1; i <= grid.rows; ++i) {
    Json row = Json::array();
    for (int64_t j = 1; j <= grid.columns; ++j) row.push_back(short_number(grid.at(i, j)));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json json_of(const SimilarityStudy& study) {
  Json kinds = Json::array(), modules = Json::array();
  for (const KindSimilarity& kind : study.kinds) {
    kinds.push_back({{"kind", kind.kind},
                     {"modules", kind.members.size()},
                     {"inputs", json_of(kind.mean.inputs)},
                     {"outputs", json_of(kind.mean.outputs)},
                     {"random_inputs", json_of(kind.mean.random_inputs)},
                     {"random_outputs", json_of(kind.mean.random_outputs)}});
  }
  for (const ModuleSimilarity& module : study.modules) {
    modules.push_back({{"module", module.module},
                       {"kind", module.place.kind},
                       {"layer", module.place.layer ? Json(*module.place.layer) : Json()},
                       {"inputs", json_of(module.grids.inputs)},
                       {"outputs", json_of(module.grids.outputs)}});
  }
  return {{"study", "similarity"},           {"adapters", {study.one, study.other}},
          {"only_in_first", study.only_one}, {"only_in_second", study.only_other},
          {"without_update", study.still},   {"kinds", std::move(kinds)},
          {"modules", std::move(modules)}};
}

/// phi at (1, 1), (1, all) and (all, all).
void add_cells(std::vector<std::string>& row, const SimilarityGrid& grid) {
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{1, 1}, {1, grid.columns}, {grid.rows, grid.columns}})
    row.push_back(fmt::format("{:.3f}", grid.at(i, j)));
}

std::vector<std::string> row_of(const std::string& name, const std::string& side, const SimilarityGrid& grid,
                                const SimilarityGrid& random) {
  std::vector<std::string> row = {name, side, fmt::format("{} x {}", grid.rows, grid.columns)};
  add_cells(row, grid);
  add_cells(row, random);
  return row;
}

const std::vector<std::string> table_headings = {"modules",     "space",         "directions",
                                                 "1, 1",        "1, all",        "all, all",
                                                 "random 1, 1", "random 1, all", "random all, all"};

AnalysisSection summary_of(const SimilarityStudy& study) {
  AnalysisSection section{
      "Similarity of the spaces",
      "The share of the space of the i strongest directions of the first adapter that lies in that of the j "
      "strongest of the second, phi(i, j): 1 where one holds the other, 0 where they are orthogonal. "
      "Inputs are the right singular directions (the space of A), outputs the left ones (of B). Random: of "
      "random spaces of the same sizes. Means over the modules of a kind."};
  section.headings = table_headings;
  for (const KindSimilarity& kind : study.kinds) {
    const std::string name = fmt::format("{} ({})", one_line(kind.kind), kind.members.size());
    section.rows.push_back(row_of(name, "inputs", kind.mean.inputs, kind.mean.random_inputs));
    section.rows.push_back(row_of(name, "outputs", kind.mean.outputs, kind.mean.random_outputs));
  }
  return section;
}

AnalysisSection modules_of(const SimilarityStudy& study) {
  AnalysisSection section{"Single modules", ""};
  section.detail = true;
  section.headings = table_headings;
  for (const ModuleSimilarity& module : study.modules) {
    const std::string name = one_line(module.module);
    section.rows.push_back(row_of(name, "inputs", module.grids.inputs, module.grids.random_inputs));
    section.rows.push_back(row_of(name, "outputs", module.grids.outputs, module.grids.random_outputs));
  }
  return section;
}

/// The darkest value of all maps, a tenth rounded up: the same for what was trained and what is random.
double darkest(const SimilarityStudy& study) {
  double most = 0;
  for (const KindSimilarity& kind : study.kinds) {
    for (const SimilarityGrid* grid :
         {&kind.mean.inputs, &kind.mean.outputs, &kind.mean.random_inputs, &kind.mean.random_outputs})
      most = std::max(most, *std::ranges::max_element(grid->values));
  }
  constexpr double tenths = 10;
  return std::clamp(std::ceil(most * tenths) / tenths, 1 / tenths, 1.0);
}

AnalysisFigure figure_of(const std::string& title, const SimilarityGrid& grid, double high) {
  return {"", svg_of(HeatMap{title, "i, of the first", "j, of the second", grid.rows, grid.columns,
                             grid.values, 0, high})};
}

void add_figures(const SimilarityStudy& study, std::vector<AnalysisSection>& sections) {
  constexpr size_t single_maps = 4;
  const double high = darkest(study);
  for (const KindSimilarity& kind : study.kinds) {
    AnalysisSection mean{one_line(kind.kind),
                         fmt::format("phi(i, j): mean over {}", counted(std::ssize(kind.members), "module"))};
    mean.figures = {figure_of("inputs", kind.mean.inputs, high),
                    figure_of("random inputs", kind.mean.random_inputs, high),
                    figure_of("outputs", kind.mean.outputs, high),
                    figure_of("random outputs", kind.mean.random_outputs, high)};
    sections.push_back(std::move(mean));
    AnalysisSection single{fmt::format("single modules: {}", one_line(kind.kind)), ""};
    single.detail = true;
    for (const size_t member : spread_members(kind.members, single_maps)) {
      const ModuleSimilarity& module = study.modules[member];
      const std::string name =
          module.place.layer ? fmt::format("layer {}", *module.place.layer) : one_line(module.module);
      single.figures.push_back(figure_of(name + ", inputs", module.grids.inputs, 1));
      single.figures.push_back(figure_of(name + ", outputs", module.grids.outputs, 1));
    }
    sections.push_back(std::move(single));
  }
}

}  // namespace

AnalysisReport report_of(const SimilarityStudy& study) {
  AnalysisReport report;
  report.title = fmt::format("The spaces of {} and {}", one_line(study.one), one_line(study.other));
  for (const auto& [name, modules] :
       {std::pair(&study.one, &study.only_one), {&study.other, &study.only_other}}) {
    if (!modules->empty())
      report.notes.push_back(fmt::format("Only {} has {}; they are not compared.", one_line(*name),
                                         words_for_modules(*modules)));
  }
  if (!study.still.empty())
    report.notes.push_back("Zero in one of the two: " + words_for_modules(study.still) + ".");
  report.sections.push_back(summary_of(study));
  add_figures(study, report.sections);
  report.sections.push_back(modules_of(study));
  report.results = json_of(study);
  return report;
}

}  // namespace lowrank
