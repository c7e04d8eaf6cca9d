#include "study/analysis/amplification_report.h"

#include <fmt/format.h>

#include "base/one_line.h"
#include "report/line_plot.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Amplification& found) {
  return {{"directions", short_number(found.directions)},
          {"weight_norm", short_number(found.weight_norm)},
          {"update_norm", short_number(found.update_norm)},
          {"update_norm_in_directions", short_number(found.kept_norm)},
          {"weight_along_update", short_number(found.along_update)},
          {"weight_along_weight", short_number(found.along_weight)},
          {"weight_along_random", short_number(found.along_random)},
          {"amplification", found.factor ? short_number(*found.factor) : Json()}};
}

Json json_of(const AmplificationStudy& study) {
  Json kinds = Json::array(), modules = Json::array();
  for (const KindAmplification& kind : study.kinds) {
    Json entry = {{"kind", kind.kind}, {"modules", kind.members.size()}};
    entry.update(json_of(kind.summary));
    kinds.push_back(std::move(entry));
  }
  for (const ModuleAmplification& module : study.modules) {
    Json entry = {{"module", module.module},
                  {"kind", module.place.kind},
                  {"layer", module.place.layer ? Json(*module.place.layer) : Json()}};
    entry.update(json_of(module.found));
    modules.push_back(std::move(entry));
  }
  return {{"study", "amplification"},      {"adapter", study.adapter},  {"model", study.base},
          {"without_update", study.still}, {"kinds", std::move(kinds)}, {"modules", std::move(modules)}};
}

const std::vector<std::string> table_headings = {
    "modules", "r", "norm of W", "norm of dW", "W along dW", "W along W", "W along random", "amplification"};

std::vector<std::string> row_of(const std::string& name, const Amplification& found) {
  std::vector<std::string> row = {name, fmt::format("{:.4g}", found.directions)};
  for (const double norm :
       {found.weight_norm, found.kept_norm, found.along_update, found.along_weight, found.along_random})
    row.push_back(fmt::format("{:.4g}", norm));
  row.push_back(found.factor ? fmt::format("{:.4g}", *found.factor) : "");
  return row;
}

/// The factor of each module over the layers; a kind is a line.
LinePlot plot_of(const AmplificationStudy& study) {
  LinePlot plot;
  plot.title = "Amplification of the directions of the update";
  plot.x_label = "layer";
  plot.y_label = "|dW| / |U'WV|";
  plot.legend_beside = true;
  for (const KindAmplification& kind : study.kinds) {
    PlotSeries series{kind.kind, {}};
    for (const size_t member : kind.members) {
      const ModuleAmplification& module = study.modules[member];
      if (module.place.layer && module.found.factor)
        series.points.push_back({static_cast<double>(*module.place.layer), *module.found.factor});
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace

AnalysisReport report_of(const AmplificationStudy& study) {
  AnalysisReport report;
  report.title = fmt::format("What {} amplifies in its base", one_line(study.adapter));
  if (!study.still.empty()) report.notes.push_back("Zero: " + words_for_modules(study.still) + ".");
  AnalysisSection summary{
      "Amplification",
      "Frobenius norms of the weight W, of the update dW in its r strongest directions, and of U'WV with U, "
      "V "
      "the r strongest directions of dW, of W and of a random matrix. Amplification is |dW| / |U'WV| of dW's "
      "own directions: how many times as large as the weight's part there the update is. Means over the "
      "modules of a kind; of the amplification the median."};
  summary.headings = table_headings;
  for (const KindAmplification& kind : study.kinds)
    summary.rows.push_back(
        row_of(fmt::format("{} ({})", one_line(kind.kind), kind.members.size()), kind.summary));
  report.sections.push_back(std::move(summary));
  const LinePlot plot = plot_of(study);
  if (!plot.series.empty()) {
    AnalysisSection chart{"By layer", ""};
    chart.figures = {{"", svg_of(plot)}};
    report.sections.push_back(std::move(chart));
  }
  AnalysisSection modules{"Single modules", ""};
  modules.detail = true;
  modules.headings = table_headings;
  for (const ModuleAmplification& module : study.modules)
    modules.rows.push_back(row_of(one_line(module.module), module.found));
  report.sections.push_back(std::move(modules));
  report.results = json_of(study);
  return report;
}

}  // namespace lowrank
