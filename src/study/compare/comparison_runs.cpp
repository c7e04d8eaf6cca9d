#include "study/compare/comparison_runs.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "metrics/registry.h"
#include "study/compare/halving.h"

namespace lowrank {
namespace {

/// "12 steps, loss 2.91, bleu 31.20, 14.2 s".
std::string line_of(const RunRecord& record) {
  std::string line = fmt::format("{}", counted(record.steps, "step"));
  if (record.loss) line += fmt::format(", validation loss {:.4f}", *record.loss);
  for (const auto& [name, value] : record.metrics) line += fmt::format(", {} {:.4g}", name, value);
  line += fmt::format(", {:.1f} s", record.seconds);
  return record.problem.empty() ? line : fmt::format("{}: {} ({})", record.failure(), record.problem, line);
}

}  // namespace

ComparisonRuns::ComparisonRuns(const ComparisonOptions& options, const ComparisonPlan& plan,
                               const ComparedTask& task, const RunStore& store)
    : options_(options), plan_(plan), task_(task), store_(store), progress_(work_left()) {
  report_.model = options.session.model;
  report_.benchmark = options.benchmark;
  report_.methods = plan.methods;
  report_.settings = options.common();
  for (const Questions& questions : task.questions) {
    const std::string before = task.questions.size() > 1 ? questions.name + " " : "";
    if (questions.answer == Answer::loss) report_.metrics.emplace_back(before + "loss", false);
    for (const std::string& name : plan.scoring.metrics)
      if (questions.answer != Answer::loss)
        report_.metrics.emplace_back(before + name, metrics::metric_of_name(name).higher_is_better);
  }
}

ComparisonReport ComparisonRuns::to_the_end() {
  take_finished();
  if (options_.base && plan_.spec.task == Task::causal_lm) take_base();
  for (const ComparedMethod& method : options_.methods) {
    const std::optional<double> rate = rate_of(method);
    if (!rate) continue;
    drop_outdated(method, *rate);
    take_seeds(method, *rate);
  }
  report_.finished = true;
  write();
  return std::move(report_);
}

double ComparisonRuns::work_left() const {
  double work = options_.base && plan_.spec.task == Task::causal_lm && !store_.finished("base", 0) ? 0.3 : 0;
  for (const ComparedMethod& method : options_.methods) {
    for (const int64_t seed : method.seeds) work += store_.finished(method.label, seed) ? 0 : 1;
    const std::vector<int64_t> sizes = sizes_of(method);
    for (size_t round = 0; round < sizes.size(); ++round)
      work += static_cast<double>(sizes[round]) *
              halving_share(static_cast<int64_t>(round), std::ssize(sizes), options_.search.keep);
    work -= searched(method);
  }
  return work;
}

std::vector<int64_t> ComparisonRuns::sizes_of(const ComparedMethod& method) const {
  return halving_sizes(std::ssize(method.rates()), options_.search.rungs, options_.search.keep);
}

double ComparisonRuns::searched(const ComparedMethod& method) const {
  double work = 0;
  const std::vector<int64_t> sizes = sizes_of(method);
  for (size_t round = 0; round < sizes.size(); ++round) {
    for (const double rate : method.rates()) {
      if (store_.tried(method.label, static_cast<int64_t>(round), rate))
        work += halving_share(static_cast<int64_t>(round), std::ssize(sizes), options_.search.keep);
    }
  }
  return work;
}

void ComparisonRuns::take_finished() {
  int64_t found = 0;
  const auto take = [&](const std::string& label, int64_t seed) {
    std::optional<RunRecord> record = store_.finished(label, seed);
    if (!record) return;
    report_.runs.push_back(std::move(*record));
    ++found;
  };
  if (options_.base) take("base", 0);
  for (const ComparedMethod& method : options_.methods)
    for (const int64_t seed : method.seeds) take(method.label, seed);
  if (found > 0) info("{}: {} finished earlier", options_.output, counted(found, "run"));
}

void ComparisonRuns::take_base() {
  if (store_.finished("base", 0)) return;
  throw_if_interrupted();
  progress_.begin("base", 0.3);
  const RunRecord record = runs().base();
  make_folders(store_.run_folder("base", 0).parent_path());
  StagedFolder staged(store_.run_folder("base", 0));
  keep(record, staged);
  progress_.end(line_of(record));
}

void ComparisonRuns::drop_outdated(const ComparedMethod& method, double rate) {
  const auto outdated = [&](const RunRecord& run) {
    return run.label == method.label && run.learning_rate != rate;
  };
  for (const RunRecord& run : report_.runs)
    if (outdated(run)) store_.drop_run(run.label, run.seed);
  const auto count = static_cast<int64_t>(std::erase_if(report_.runs, outdated));
  if (count > 0)
    info("{}: {} of another learning rate, to be made anew", method.label, counted(count, "run"));
}

void ComparisonRuns::take_seeds(const ComparedMethod& method, double rate) {
  std::vector<int64_t> left;
  std::ranges::copy_if(method.seeds, std::back_inserter(left),
                       [&](int64_t seed) { return !store_.finished(method.label, seed); });
  size_t next = 0;
  const bool measured = std::ranges::any_of(
      report_.runs, [&](const RunRecord& run) { return run.label == method.label && run.together == 1; });
  if (!measured && !left.empty()) take_run(method, left[next++], rate);
  const int64_t most = left.size() - next > 1 ? runs().together(method) : 1;
  while (next < left.size()) {
    const size_t count = std::min(left.size() - next, static_cast<size_t>(most));
    if (count == 1) {
      take_run(method, left[next++], rate);
    } else {
      take_runs(method,
                {left.begin() + static_cast<std::ptrdiff_t>(next),
                 left.begin() + static_cast<std::ptrdiff_t>(next + count)},
                rate);
      next += count;
    }
  }
}

void ComparisonRuns::take_runs(const ComparedMethod& method, const std::vector<int64_t>& seeds, double rate) {
  throw_if_interrupted();
  progress_.begin(fmt::format("{}, seeds {}, lr {:g}", method.label, fmt::join(seeds, ", "), rate),
                  static_cast<double>(seeds.size()));
  std::map<int64_t, std::unique_ptr<StagedFolder>> folders;
  std::vector<RunRequest> requests;
  for (const int64_t seed : seeds) {
    make_folders(store_.run_folder(method.label, seed).parent_path());
    auto& folder = folders[seed] = std::make_unique<StagedFolder>(store_.run_folder(method.label, seed));
    requests.push_back({method, seed, rate, 1, seed == method.seeds.front(), folder->path()});
  }
  std::string lines;
  runs().run_together(requests, sink(), [&](const RunRequest& request, const RunRecord& record) {
    keep(record, *folders[request.seed]);
    lines += fmt::format("{}seed {}: {}", lines.empty() ? "" : "; ", request.seed, line_of(record));
  });
  progress_.end(lines);
}

void ComparisonRuns::take_run(const ComparedMethod& method, int64_t seed, double rate) {
  throw_if_interrupted();
  progress_.begin(fmt::format("{}, seed {}, lr {:g}", method.label, seed, rate), 1);
  make_folders(store_.run_folder(method.label, seed).parent_path());
  StagedFolder staged(store_.run_folder(method.label, seed));
  const bool first = seed == method.seeds.front();
  const RunRecord record = runs().run({method, seed, rate, 1, first, staged.path()}, sink());
  keep(record, staged);
  progress_.end(line_of(record));
}

void ComparisonRuns::keep(const RunRecord& record, StagedFolder& staged) {
  write_file_atomically(staged.path() / run_record_name, json_text(json_of(record), 2) + "\n");
  staged.commit();
  report_.runs.push_back(record);
  write();
}

std::optional<double> ComparisonRuns::rate_of(const ComparedMethod& method) {
  const std::vector<double> rates = method.rates();
  if (rates.size() == 1) return rates.front();
  const std::optional<size_t> best = best_by_halving(
      std::ssize(rates), options_.search.rungs, options_.search.keep,
      [&](size_t candidate, int64_t round, double share) {
        return score_of(tried(method, rates[candidate], round, share));
      },
      [&](const std::vector<size_t>& candidates, int64_t round, double share) {
        std::vector<double> left;
        for (const size_t candidate : candidates)
          if (!store_.tried(method.label, round, rates[candidate])) left.push_back(rates[candidate]);
        try_together(method, left, round, share);
      });
  if (best) {
    const std::string place = place_among(rates[*best], rates);
    info("{}: learning rate {:g} of {}{}", method.label, rates[*best], fmt::join(rates, ", "),
         place.empty() ? "" : fmt::format(", the {}: a better one may lie beyond", place));
    return rates[*best];
  }
  warn("{}: none of its learning rates works", method.label);
  return std::nullopt;
}

void ComparisonRuns::try_together(const ComparedMethod& method, const std::vector<double>& rates,
                                  int64_t round, double share) {
  const auto most = static_cast<size_t>(rates.size() > 1 ? runs().together(method) : 1);
  for (size_t next = 0; most > 1 && rates.size() - next > 1;) {
    throw_if_interrupted();
    std::vector<RunRequest> requests;
    for (; next < rates.size() && requests.size() < most; ++next)
      requests.push_back({method, options_.seeds.front(), rates[next], share});
    progress_.begin(fmt::format("{}, search round {}, {}", method.label, round + 1,
                                counted(std::ssize(requests), "learning rate")),
                    share * static_cast<double>(requests.size()));
    std::string lines;
    runs().run_together(requests, sink(), [&](const RunRequest& request, const RunRecord& record) {
      store_.keep_tried(record, round);
      lines += fmt::format("{}lr {:g}: {}", lines.empty() ? "" : "; ", request.rate, line_of(record));
    });
    progress_.end(lines);
  }
}

RunRecord ComparisonRuns::tried(const ComparedMethod& method, double rate, int64_t round, double share) {
  std::optional<RunRecord> record = store_.tried(method.label, round, rate);
  if (!record) {
    throw_if_interrupted();
    progress_.begin(fmt::format("{}, search round {}, lr {:g}", method.label, round + 1, rate), share);
    record = runs().tried({method, options_.seeds.front(), rate, share}, sink());
    store_.keep_tried(*record, round);
    progress_.end(line_of(*record));
  }
  report_.searches.push_back({round, *record});
  return *record;
}

std::optional<double> ComparisonRuns::score_of(const RunRecord& record) const {
  if (!record.problem.empty()) return std::nullopt;
  if (options_.search.judge == "loss") return record.loss;
  if (record.metrics.empty()) return std::nullopt;
  const double score = record.metrics.front().second;
  return metrics::metric_of_name(plan_.scoring.metrics.front()).higher_is_better ? -score : score;
}

ComparedRuns& ComparisonRuns::runs() {
  if (!runs_) runs_.emplace(options_, plan_, task_);
  return *runs_;
}

}  // namespace lowrank
