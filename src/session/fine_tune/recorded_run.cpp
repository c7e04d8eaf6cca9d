#include "session/fine_tune/recorded_run.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/process.h"
#include "base/staged_folder.h"
#include "data/order/weighted_data.h"
#include "session/resumption.h"
#include "session/run_overview.h"
#include "session/training_results.h"
#include "train/model_card.h"
#include "train/run.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

RunPage page_of(const ReadyRun& run) {
  const std::string base = without_slash(run.options.session.model).filename().string();
  return page_of_run(fmt::format("{} on {}", run.adapter.info->name, base), run.configuration, run.data);
}

RunCallbacks run_callbacks(const ReadyRun& run, OutputFolder& output, const Kept& kept, RunIdentity& identity,
                           RunOverview& overview, const FineTuneCallbacks& callbacks) {
  RunCallbacks followed;
  followed.identity = [&] { return identity.whole(); };
  followed.after_save = [&] {
    // An adapter that stays because the run is stopped needs its template, too.
    if (!run.chat_template.empty()) write_chat_template(output.path(), run.chat_template);
    output.drop_earlier(kept);
  };
  followed.after_step = [&](const StepResult& step, int64_t) {
    if (run.data.take_early(false)) overview.set_page(page_of(run));
    if (callbacks.after_step) callbacks.after_step(step);
    overview.refresh();
  };
  followed.after_evaluation = callbacks.after_evaluation;
  if (run.options.train.profile) followed.profile_line = callbacks.profile_line;
  if (run.samples) {
    run.samples->set_folder(output.path(), run.resumed);
    followed.sample = [&](int64_t step) { run.samples->make(run.model, run.adapter, step); };
    followed.sample_every = run.options.samples.every;
  }
  return followed;
}

/// The training, whose end the overview shows even if it comes early.
template <class Training>
RunResult shown_to_the_end(const Training& training, RunOverview& overview) try {
  RunResult result = training();
  overview.finish();
  return result;
} catch (const Error& error) {
  overview.stop(error.kind() == ErrorKind::interrupted ? "interrupted" : "failed");
  throw;
}

/// Reports how the run went, and writes what it leaves besides the adapter.
void finish(const ReadyRun& run, const std::filesystem::path& output, const RunResult& result) {
  const FineTuneOptions& options = run.options;
  if (has_other_card(output))
    warn("{}: README.md is not a run's model card and stays as it is", options.output);
  else
    write_model_card(output, run.adapter, options.session.model, weighted_data(options.rows.data),
                     options.train, result, !run.chat_template.empty());
  if (result.stopped_early)
    info("stopped after step {} (`early_stop`): {} without a lower loss than step {}'s", result.steps,
         counted(result.evaluations_since_best, "evaluation"), result.best_step);
  info("{} in {:.1f} s ({:.0f} tokens/s, {:.0f} MB), loss {:.4f} -> {:.4f}{}", counted(result.steps, "step"),
       result.seconds, static_cast<double>(result.tokens) / result.seconds,
       static_cast<double>(peak_resident_bytes()) / 1e6, result.first_loss, result.last_loss,
       result.best_eval_loss
           ? fmt::format(", best evaluation loss {:.4f} at step {}", *result.best_eval_loss, result.best_step)
           : "");
  if (run.adapter.method->form().output() != Output::model)
    info("{}: adapter of {} bytes", options.output, adapter_file_size(output, run.adapter));
  write_results(output, run.base, run.adapter, options.exported, result.best_eval_loss.has_value());
  if (!run.chat_template.empty()) write_chat_template(output, run.chat_template);
}

}  // namespace

RunResult recorded_run(const ReadyRun& run, RunIdentity& identity, OutputFolder& output,
                       const FineTuneCallbacks& callbacks) {
  const FineTuneOptions& options = run.options;
  RunOverview overview(output.path(), page_of(run), run.plan.total_steps);
  const int64_t first = report_resumed(run.resumed, identity, options.resume.anyway);
  throw_if_interrupted();
  output.begin();
  if (callbacks.start) callbacks.start(first, run.plan.total_steps);
  const Kept kept = written_at_the_end(run.adapter, options.exported, !run.chat_template.empty());
  const RunCallbacks followed = run_callbacks(run, output, kept, identity, overview, callbacks);
  const RunResult result = shown_to_the_end(
      [&] {
        RunResult trained =
            run_training(run.model, run.adapter, run.data.examples, run.data.evaluation.examples,
                         options.train, {output.path(), options.session.model, run.resumed}, followed);
        if (run.data.take_early(true)) overview.set_page(page_of(run));
        if (options.train.ranks) options.train.ranks->leave();
        return trained;
      },
      overview);
  run.base.check_unchanged();
  finish(run, output.path(), result);
  output.drop_earlier([](const auto&) { return false; });
  return result;
}

}  // namespace lowrank
