// Runs of one method that differ in seed or learning rate alone, in the passes that they share.
#include <algorithm>
#include <numeric>

#include "base/interrupt.h"
#include "peft/bank/adapter_group.h"
#include "study/compare/compared_run.h"
#include "study/compare/run_follower.h"
#include "train/evaluate.h"
#include "train/together/joint_steps.h"

namespace lowrank {
namespace {

/// Larger micro-batches gain nothing: computing with the weights then takes longer than reading them.
/// Measured with bench/joint_steps (docs/comparing.md).
constexpr int64_t most_tokens_alone = 160, most_tokens_together = 512;
constexpr int64_t most_runs = 8;

}  // namespace

/// A run with what it trains.
struct ComparedRuns::Member {
  const RunRequest* request = nullptr;
  TrainOptions options;
  Adapter adapter;
  RunRecord record;
  std::optional<RunFollower> follower;
};

int64_t ComparedRuns::together(const ComparedMethod& method) {
  // Steps that are counted in minutes depend on how fast they are.
  if (!options_.together || options_.minutes || plan_.spec.task != Task::causal_lm) return 1;
  const TrainOptions options = options_.training_of(method, 0, std::nullopt);
  const ExampleStore& rows = task_.data.train.examples;
  const int64_t tokens = options.tokens_per_batch.value_or(
      options.rows_per_batch() * task_.data.train.tokens() / std::max<int64_t>(1, std::ssize(rows)));
  if (tokens > most_tokens_alone) return 1;
  const int64_t runs = std::clamp<int64_t>(most_tokens_together / std::max<int64_t>(1, tokens), 1, most_runs);
  int64_t fitting = 1;
  RunRecord unused;
  note_failure(unused, [&] {
    ChosenMethod chosen = method.choose();
    if (can_join_group(make_adapter(*chosen.info, std::move(chosen.method), *task_.checkpoint)))
      fitting = runs;
  });
  return fitting;
}

std::vector<std::unique_ptr<ComparedRuns::Member>> ComparedRuns::members_of(
    const std::vector<RunRequest>& requests) {
  std::vector<std::unique_ptr<Member>> members;
  for (const RunRequest& request : requests) {
    auto member = std::make_unique<Member>();
    member->request = &request;
    member->record = blank(request);
    member->record.together = std::ssize(requests);
    note_failure(member->record, [&] {
      member->adapter = base_.prepare(request.method.choose(), static_cast<uint64_t>(request.seed));
      member->options = budget_of(request, member->adapter);
      member->record.loss_before = loss_before(member->adapter, member->options);
      member->follower.emplace(member->record, base_.model(), member->adapter, task_.data.evaluation.examples,
                               member->options);
    });
    members.push_back(std::move(member));
  }
  return members;
}

void ComparedRuns::train_together(const std::vector<Member*>& members, const StepSink& after_step) {
  std::vector<Adapter*> adapters;
  std::vector<TrainOptions> options;
  for (Member* member : members) {
    adapters.push_back(&member->adapter);
    options.push_back(member->options);
  }
  JointSteps steps(base_.model(), adapters, task_.data.examples, options);
  std::vector<size_t> all(members.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto goes_on = [&](size_t i) { return members[i]->record.problem.empty() && !steps.done(i); };
  while (std::ranges::any_of(all, goes_on)) {
    throw_if_interrupted();
    std::vector<size_t> left;
    std::ranges::copy_if(all, std::back_inserter(left), goes_on);
    const std::vector<JointResult> results = steps.step(left);
    bool shown = false;
    for (size_t i = 0; i < left.size(); ++i) {
      Member& member = *members[left[i]];
      member.record.problem = results[i].problem;
      if (!member.record.problem.empty()) continue;
      const int64_t total = steps.total_steps(left[i]);
      note_failure(member.record, [&] { member.follower->step(results[i].step, total); });
      if (!shown) after_step(results[i].step, total);
      shown = true;
    }
  }
}

void ComparedRuns::evaluate_member(Member& member) {
  member.follower->keep_curve();
  if (!member.record.problem.empty()) return;
  member.adapter.method->begin_step({member.record.steps, member.record.steps});
  note_failure(member.record, [&] {
    const ExampleStore& rows = task_.data.evaluation.examples;
    const int64_t batch = member.options.rows_per_batch();
    member.follower->end(evaluate(base_.model(), InferenceHooks(member.adapter), rows, batch).loss);
  });
}

void ComparedRuns::run_together(const std::vector<RunRequest>& requests, const StepSink& after_step,
                                const RecordSink& done) {
  std::vector<std::unique_ptr<Member>> members = members_of(requests);
  std::vector<Member*> ready;
  for (const auto& member : members)
    if (member->record.problem.empty()) ready.push_back(member.get());
  RunRecord all;
  note_failure(all, [&] {
    if (!ready.empty()) train_together(ready, after_step);
  });
  for (Member* member : ready) {
    if (member->record.problem.empty()) member->record.problem = all.problem;
    evaluate_member(*member);
  }
  for (const auto& member : members) {
    note_failure(member->record, [&] {
      if (!member->record.problem.empty()) return;
      if (member->request->folder.empty())
        judge(member->adapter, member->record);
      else
        keep(*member->request, member->adapter, member->record);
    });
    done(*member->request, member->record);
  }
}

}  // namespace lowrank
