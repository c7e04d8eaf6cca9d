#include "study/compare/comparison.h"

#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "study/compare/compared_run.h"
#include "study/compare/comparison_runs.h"
#include "study/compare/run_store.h"

namespace lowrank {
namespace {

/// What the numbers of these runs depend on, and what stands for options that an earlier version lacked.
std::pair<KeptConfiguration, KeptConfiguration> kept_configuration(const ComparisonOptions& options,
                                                                   const ComparedTask& task) {
  KeptConfiguration now{options.common(), nlohmann::ordered_json::object()};
  KeptConfiguration usual{ComparisonOptions().common(), nlohmann::ordered_json::object()};
  for (KeptConfiguration* one : {&now, &usual}) {
    one->common["rows"] = task.fingerprint;
    one->common["model contents"] = task.base_fingerprint;
  }
  for (const ComparedMethod& method : options.methods) {
    ComparedMethod plain;
    plain.method = method.method;
    now.methods[method.label] = ComparisonOptions::of_method(method);
    usual.methods[method.label] = ComparisonOptions::of_method(plain);
  }
  return {std::move(now), std::move(usual)};
}

}  // namespace

ComparisonPlan checked_plan(const ComparisonOptions& options, std::vector<std::string> problems) {
  ComparisonPlan plan = plan_comparison(options, std::nullopt, problems);
  check(problems.empty(), ErrorKind::invalid, "{}", fmt::join(problems, "; "));
  return plan;
}

ComparisonReport compare_methods(const ComparisonOptions& options, bool overwrite) {
  namespace fs = std::filesystem;
  ComparisonPlan plan = checked_plan(options, {});
  const RunStore store(options.output);
  store.open();
  const fs::path folder = fs::path(options.output) / "rows";
  const PreparedBenchmark prepared = prepared_rows(options, plan.scoring, folder);
  if (const std::optional<LabelSet> labels = labels_of(options, plan.scoring, prepared)) {
    // The head's size follows from the rows.
    std::vector<std::string> problems;
    plan = plan_comparison(options, labels, problems);
    check(problems.empty(), ErrorKind::invalid, "{}", fmt::join(problems, "; "));
  }
  const ComparedTask task = open_task(options, plan, prepared, folder);
  const auto [now, usual] = kept_configuration(options, task);
  // Not before all is read, so that a mistake costs no runs.
  if (overwrite) store.drop_runs();
  store.keep_configuration(now, usual);
  ComparisonRuns comparison(options, plan, task, store);
  try {
    return comparison.to_the_end();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    throw Error(ErrorKind::interrupted,
                fmt::format("interrupted after {}; what is finished is in {}",
                            counted(std::ssize(comparison.report().runs), "run"), options.output),
                "the same command goes on from there");
  }
}

}  // namespace lowrank
