#include "study/analysis/spectrum_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/one_line.h"
#include "report/line_plot.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const SpectrumFigures& figures) {
  return {{"norm", short_number(figures.norm)},
          {"share_of_weight", figures.share ? short_number(*figures.share) : Json()},
          {"holds_50_percent", short_number(figures.half)},
          {"holds_90_percent", short_number(figures.most)},
          {"holds_99_percent", short_number(figures.nearly_all)},
          {"effective_rank", short_number(figures.effective_rank)},
          {"stable_rank", short_number(figures.stable_rank)}};
}

Json json_of(const SpectrumStudy& study) {
  Json kinds = Json::array(), modules = Json::array();
  for (const KindSpectrum& kind : study.kinds) {
    Json entry = {{"kind", kind.kind}, {"modules", kind.members.size()}, {"shape", {kind.out, kind.in}}};
    entry.update(json_of(kind.mean));
    Json random = json_of(kind.random);
    random.erase("norm");
    random.erase("share_of_weight");
    entry["random"] = std::move(random);
    entry["energy_held"] = short_numbers(kind.held);
    kinds.push_back(std::move(entry));
  }
  for (const ModuleSpectrum& module : study.modules) {
    Json entry = {{"module", module.module},
                  {"kind", module.place.kind},
                  {"layer", module.place.layer ? Json(*module.place.layer) : Json()},
                  {"shape", {module.out, module.in}}};
    entry.update(json_of(figures_of(module.spectrum, module.weight_norm)));
    entry["singular_values"] = short_numbers(module.spectrum.values);
    modules.push_back(std::move(entry));
  }
  return {{"study", "spectrum"},
          {"update", study.what},
          {"without_update", study.still},
          {"kinds", std::move(kinds)},
          {"modules", std::move(modules)}};
}

/// True where weights were read, so that updates have a share of them.
bool has_shares(const SpectrumStudy& study) {
  return std::ranges::any_of(study.kinds,
                             [](const KindSpectrum& kind) { return kind.mean.share.has_value(); });
}

std::vector<std::string> table_headings(bool shares) {
  std::vector<std::string> headings = {"modules", "shape", "norm of dW"};
  if (shares) headings.emplace_back("% of W");
  for (const char* name : {"50 %", "90 %", "99 %", "of", "effective rank", "stable rank"})
    headings.emplace_back(name);
  return headings;
}

/// A row of the table; `random`: without norms, which mean nothing there.
std::vector<std::string> row_of(const std::string& name, int64_t out, int64_t in,
                                const SpectrumFigures& figures, int64_t possible, bool shares,
                                bool random = false) {
  std::vector<std::string> row = {name, fmt::format("{} x {}", out, in),
                                  random ? "" : fmt::format("{:.4g}", figures.norm)};
  if (shares) row.push_back(figures.share ? fmt::format("{:.3g}", 100 * *figures.share) : "");
  for (const double count : {figures.half, figures.most, figures.nearly_all})
    row.push_back(fmt::format("{:.4g}", count));
  row.push_back(std::to_string(possible));
  for (const double rank : {figures.effective_rank, figures.stable_rank})
    row.push_back(fmt::format("{:.4g}", rank));
  return row;
}

AnalysisSection summary_of(const SpectrumStudy& study) {
  AnalysisSection section{
      "Spectra of the updates",
      "How many of the strongest singular directions hold 50, 90 and 99 % of |dW|^2, of how many there can "
      "be; "
      "the effective rank (exp of the entropy of the singular values) and the stable rank (|dW|^2 over the "
      "square of the largest). Random: a random matrix of that shape and rank. Means over the modules of a "
      "kind."};
  const bool shares = has_shares(study);
  section.headings = table_headings(shares);
  for (const KindSpectrum& kind : study.kinds) {
    const std::string name = one_line(kind.kind);
    const auto possible = std::ssize(kind.held);
    section.rows.push_back(row_of(fmt::format("{} ({})", name, kind.members.size()), kind.out, kind.in,
                                  kind.mean, possible, shares));
    section.rows.push_back(row_of(name + ", random", kind.out, kind.in, kind.random, possible, shares, true));
  }
  return section;
}

/// The mean share of the energy over the number of directions; a kind is a line.
LinePlot plot_of(const SpectrumStudy& study) {
  // On a logarithmic axis points lie close enough at steps of a twentieth.
  constexpr size_t step_share = 20;
  LinePlot plot;
  plot.title = "Energy in the strongest directions";
  plot.x_label = "directions";
  plot.y_label = "share of |dW|^2";
  plot.logarithmic_x = true;
  plot.legend_beside = true;
  for (const KindSpectrum& kind : study.kinds) {
    PlotSeries series{kind.kind, {}, Stroke::line};
    for (size_t count = 1; count <= kind.held.size(); count += 1 + count / step_share)
      series.points.push_back({static_cast<double>(count), kind.held[count - 1]});
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace

AnalysisReport report_of(const SpectrumStudy& study) {
  AnalysisReport report;
  report.title = fmt::format("The spectrum of {}", one_line(study.what));
  if (!study.still.empty()) report.notes.push_back("Zero: " + words_for_modules(study.still) + ".");
  report.sections.push_back(summary_of(study));
  AnalysisSection chart{"Energy in the strongest directions", ""};
  chart.figures = {{"", svg_of(plot_of(study))}};
  report.sections.push_back(std::move(chart));
  AnalysisSection modules{"Single modules", ""};
  modules.detail = true;
  const bool shares = has_shares(study);
  modules.headings = table_headings(shares);
  for (const ModuleSpectrum& module : study.modules)
    modules.rows.push_back(row_of(one_line(module.module), module.out, module.in,
                                  figures_of(module.spectrum, module.weight_norm),
                                  std::ssize(module.spectrum.values), shares));
  report.sections.push_back(std::move(modules));
  report.results = json_of(study);
  return report;
}

}  // namespace lowrank
