#include "session/run_warnings.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// A method's rate is a rule of thumb; ten times more or less is rarely meant.
constexpr double far = 10;

/// Fewer steps than this hardly train an adapter.
constexpr int64_t fewest_steps = 20;

/// Above this LoRA learns less than full fine-tuning from the same rows, and a higher rank does not help
/// (Schulman et al., LoRA Without Regret, 2025).
constexpr int64_t most_examples_per_step = 128;

using Warnings = std::vector<std::string>;

void warn_of_learning_rate(const RunFacts& facts, Warnings& found) {
  if (!facts.train.lr || facts.default_learning_rate <= 0) return;
  const double ratio = *facts.train.lr / facts.default_learning_rate;
  if (ratio > far)
    found.push_back(fmt::format(
        "`lr` {:g} is {:.0f} times the usual rate of {} ({:g}); the loss often rises with it: leave "
        "`lr` out, or give a lower one",
        *facts.train.lr, ratio, facts.method, facts.default_learning_rate));
  if (ratio < 1 / far)
    found.push_back(fmt::format(
        "`lr` {:g} is a {:.0f}th of the usual rate of {} ({:g}); little is learned with it: leave "
        "`lr` out, or give a higher one",
        *facts.train.lr, 1 / ratio, facts.method, facts.default_learning_rate));
}

void warn_of_warmup(const RunFacts& facts, Warnings& found) {
  if (facts.train.warmup < facts.plan.total_steps || facts.train.warmup == 0) return;
  found.push_back(fmt::format(
      "`warmup` {} is not shorter than the run of {} steps, so the learning rate never reaches its "
      "peak: give about {}",
      facts.train.warmup, facts.plan.total_steps, facts.plan.total_steps / 10));
}

/// Few steps, or large batches; `steps` was chosen knowingly.
void warn_of_batch(const RunFacts& facts, Warnings& found) {
  const bool of_tokens = facts.train.tokens_per_batch.has_value();
  const int64_t per_step = of_tokens ? facts.examples / facts.plan.steps_per_epoch.value_or(facts.examples)
                                     : facts.train.rows_per_batch() * facts.train.grad_accum;
  const std::string sizes = fmt::format("`{}`{}", of_tokens ? "tokens_per_batch" : "batch_size",
                                        facts.train.grad_accum > 1 ? " times `grad_accum`" : "");
  const int64_t steps = facts.plan.total_steps;
  if (!facts.train.steps && steps < fewest_steps) {
    const double wanted = facts.train.epochs * static_cast<double>(facts.examples) / fewest_steps;
    const auto smaller = static_cast<int64_t>(wanted);
    const auto epochs = static_cast<int64_t>(
        std::ceil(facts.train.epochs * fewest_steps / static_cast<double>(std::max<int64_t>(1, steps))));
    found.push_back(
        of_tokens ? fmt::format("the run has only {}: give a smaller {}, or more `epochs` ({})",
                                counted(steps, "step"), sizes, epochs)
        : smaller >= 1 && smaller < per_step
            ? fmt::format(
                  "the run has only {} steps of {} examples: give a smaller {} ({} makes {} steps), or "
                  "more `epochs` ({})",
                  steps, per_step, sizes, smaller, fewest_steps, epochs)
            : fmt::format("the run has only {}: give more `epochs` ({} make {} steps)",
                          counted(steps, "step"), epochs, fewest_steps));
  } else if (per_step > most_examples_per_step && !facts.whole_weights) {
    found.push_back(fmt::format(
        "{} {} {}: adapters learn less from the same rows in batches of more than about {} examples: "
        "give a smaller one",
        sizes, of_tokens ? "makes steps of about" : "is", per_step, most_examples_per_step));
  }
}

void warn_of_unused(const RunFacts& facts, Warnings& found) {
  const TrainOptions& train = facts.train;
  const int64_t steps = facts.plan.total_steps;
  const auto unused = [&](bool is, const char* name, const std::string& why) {
    if (is) found.push_back(fmt::format("`{}` has no effect: {}", name, why));
  };
  const TrainOptions usual;
  unused(train.steps && train.epochs != usual.epochs, "epochs",
         "`steps` takes precedence; leave one of them out");
  unused(train.keep > 0 && train.save_every == 0, "keep", "no checkpoints are written; give `save_every`");
  unused(train.save_every >= steps && train.save_every > 0, "save_every",
         fmt::format("the run has {}, and its end is no checkpoint; give a smaller one",
                     counted(steps, "step")));
  unused(train.eval_every > 0 && facts.evaluation_examples == 0, "eval_every",
         "there are no rows to evaluate on; give `eval_data` or `eval_split`");
  unused(!facts.samples.data.empty() && facts.samples.every == 0, "sample_data",
         "nothing is generated during the run; give `sample_every`");
  unused(train.log_every > steps, "log_every",
         fmt::format("the run has {}; give a smaller one", counted(steps, "step")));
  const auto passes = static_cast<int64_t>(std::ceil(facts.plan.epoch(steps)));
  const int64_t evaluations =
      train.eval_every > 0 ? (steps + train.eval_every - 1) / train.eval_every : std::max<int64_t>(1, passes);
  unused(train.early_stop > 0 && train.early_stop >= evaluations, "early_stop",
         fmt::format("the run has {}; give a smaller one, or a smaller `eval_every`",
                     counted(evaluations, "evaluation")));
}

}  // namespace

std::vector<std::string> run_warnings(const RunFacts& facts) {
  Warnings found;
  warn_of_learning_rate(facts, found);
  warn_of_warmup(facts, found);
  warn_of_batch(facts, found);
  warn_of_unused(facts, found);
  return found;
}

void check_evaluated(const TrainOptions& options, bool evaluates) {
  check(evaluates || options.early_stop == 0, ErrorKind::invalid,
        "`early_stop` {} needs rows to evaluate on; give `eval_data` or `eval_split`", options.early_stop);
}

}  // namespace lowrank
