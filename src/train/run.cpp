#include "train/run.h"

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/staged_folder.h"
#include "peft/files/embedding_adapter.h"
#include "train/checkpoint_folder.h"
#include "train/example_trainer.h"
#include "train/records/run_records.h"
#include "train/records/step_profile.h"
#include "train/run_log.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

class Run {
 public:
  Run(const Model& model, Adapter& adapter, const WeightedExamples& train, const ExampleStore& evaluation,
      const TrainOptions& options, const RunFolder& folder, const RunCallbacks& callbacks)
      : model_(model),
        adapter_(adapter),
        evaluation_(evaluation),
        options_(options),
        folder_(folder),
        callbacks_(callbacks),
        trainer_(model, adapter, train, options),
        epoch_size_(train.epoch_size()) {
    const std::string kept = resume();
    if (leads())
      records_.emplace(folder.output, kept, step(), options.log_every, options.report_to == "tensorboard");
  }

  RunResult to_the_end() {
    if (evaluates_after(step()) && result_.evaluated_step < step()) evaluate_now();
    if (samples_after(step())) sample_now();
    while (!finished()) {
      if (asked_to_stop()) stop();
      unless_interrupted([this] { take_step(); });
      if (evaluates_after(step())) evaluate_now();
      if (samples_after(step())) sample_now();
      if (options_.save_every > 0 && step() % options_.save_every == 0 && !finished()) save_checkpoint();
    }
    if (evaluation_.empty()) {
      wait_for_rows();
      save_result();
    }
    result_.stopped_early = stopped_early();
    if (records_) records_->finish(facts(folder_.output));
    if (callbacks_.profile_line) {
      for (const std::string& line : profile_.table()) callbacks_.profile_line(line);
    }
    return result_;
  }

 private:
  bool stopped_early() const {
    return options_.early_stop > 0 && result_.evaluations_since_best >= options_.early_stop;
  }
  bool finished() const { return trainer_.done() || stopped_early(); }
  /// Of several ranks one writes.
  bool leads() const { return !options_.ranks || options_.ranks->leads(); }

  /// Ranks stop after the same step, whichever of them got the signal.
  bool asked_to_stop() const {
    if (!options_.ranks) return interrupted();
    const int64_t own = interrupting_signal() != 0 ? interrupting_signal() : SIGTERM;
    const int64_t signal = options_.ranks->largest(interrupted() ? own : 0);
    if (signal != 0 && !interrupted()) std::raise(static_cast<int>(signal));  // for the exit code
    return signal != 0;
  }

  int64_t step() const { return trainer_.trainer().steps_done(); }

  /// Restores the state from the checkpoint to resume from; returns the lines that the metrics file starts
  /// with.
  std::string resume() {
    if (folder_.resume.empty()) return {};
    const TrainState state = read_state(folder_.resume / state_name);
    trainer_.trainer().set_state(state);
    result_ = state.records;
    saved_ = folder_.resume;
    if (!leads()) return {};
    if (result_.best_eval_loss) restore_best(folder_.resume, folder_.output);
    std::filesystem::path run = without_slash(folder_.resume).parent_path();
    std::string kept =
        metrics_until((run.empty() ? "." : run) / "metrics.jsonl", state.step, result_.evaluated_step);
    epoch_ = last_epoch(kept);
    return kept;
  }

  void take_step() {
    const StepResult found =
        options_.profile ? profile_.of([this] { return trainer_.step(); }) : trainer_.step();
    if (records_) records_->write(step_record(found));
    epoch_ = found.epoch;
    if (found.step == 1) result_.first_loss = found.loss;
    result_.steps = found.step;
    result_.last_loss = found.loss;
    result_.tokens += found.tokens;
    result_.target_tokens += found.target_tokens;
    result_.seconds += found.seconds;
    saved_.clear();
    if (callbacks_.after_step) callbacks_.after_step(found, trainer_.total_steps());
  }

  const RunPlan& plan() const { return trainer_.trainer().plan(); }
  bool ends_epoch(int64_t step) const {
    if (plan().steps_per_epoch) return plan().ends_epoch(step);
    return epoch_ && *epoch_ == std::floor(*epoch_);
  }

  bool evaluates_after(int64_t step) const {
    if (evaluation_.empty() || step == 0) return false;
    return (options_.eval_every > 0 ? step % options_.eval_every == 0 : ends_epoch(step)) || trainer_.done();
  }

  bool samples_after(int64_t step) const {
    return callbacks_.sample && callbacks_.sample_every > 0 &&
           (step % callbacks_.sample_every == 0 || finished());
  }

  void sample_now() {
    if (!options_.ranks) return unless_interrupted([&] { callbacks_.sample(step()); });
    try {
      if (leads()) callbacks_.sample(step());
    } catch (const Error& error) {
      // All ranks stop before the next step.
      if (error.kind() != ErrorKind::interrupted) throw;
    }
  }

  /// What is wrong with the last row is found before there is a result.
  void wait_for_rows() {
    unless_interrupted([this] { trainer_.finish_reading(); });
  }

  void evaluate_now() {
    wait_for_rows();
    const double started = monotonic_seconds();
    const Evaluation found = evaluation();
    const double seconds = std::max(monotonic_seconds() - started, 1e-6);
    if (records_) {
      records_->write(evaluation_record(found, step(), epoch_.value_or(plan().epoch(step())),
                                        {evaluation_.size(), options_.rows_per_batch(), seconds}));
    }
    result_.evaluated_step = step();
    if (!result_.best_eval_loss || found.loss < *result_.best_eval_loss) {
      save_result();
      result_.best_eval_loss = found.loss;
      result_.best_step = step();
      result_.evaluations_since_best = 0;
    } else {
      ++result_.evaluations_since_best;
    }
    if (callbacks_.after_evaluation) callbacks_.after_evaluation(step(), found);
  }

  Evaluation evaluation() {
    Evaluation found;
    const InferenceHooks hooks(adapter_);
    const int64_t rows = options_.rows_per_batch();
    unless_interrupted([&] {
      found = options_.contrastive
                  ? evaluate(model_, hooks, evaluation_, rows, *options_.contrastive, options_.ranks)
                  : evaluate(model_, hooks, evaluation_, rows, options_.ranks);
    });
    return found;
  }

  /// Work between two steps; when it is interrupted, the state is saved.
  template <class Work>
  void unless_interrupted(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      stop();
    }
  }

  void save_result() {
    if (!leads()) return;
    if (options_.contrastive)
      save_embedding_adapter(folder_.output, adapter_, folder_.base);
    else
      save_adapter(folder_.output, adapter_, folder_.base);
    if (callbacks_.after_save) callbacks_.after_save();
  }

  void save_checkpoint() {
    const std::filesystem::path place = folder_.output / fmt::format("checkpoint-{}", step());
    saved_ = place;
    if (!records_) return;
    TrainState state = trainer_.trainer().state();
    state.records = result_;
    if (callbacks_.identity) state.identity = callbacks_.identity();
    records_->sync();
    write_checkpoint(folder_.output, adapter_, folder_.base, state,
                     records_->state_text(facts(place / best_name)), options_.contrastive.has_value());
    if (options_.keep > 0) drop_old_checkpoints(folder_.output, options_.keep);
  }

  /// `best`: where the best adapter lies.
  TrainerFacts facts(const std::filesystem::path& best) const {
    return trainer_facts(options_, trainer_.plan(), epoch_size_,
                         counted_parameters(model_.spec(), adapter_.plan), result_, best);
  }

  [[noreturn]] void stop() {
    if (step() == 0) fail(ErrorKind::interrupted, "interrupted before the first step");
    if (saved_.empty()) save_checkpoint();
    throw Error(ErrorKind::interrupted,
                fmt::format("interrupted after step {}; the state is in {}", step(), saved_.string()),
                "the same command with `resume` goes on from there");
  }

  const Model& model_;
  Adapter& adapter_;
  ExampleStore evaluation_;
  const TrainOptions& options_;
  const RunFolder& folder_;
  const RunCallbacks& callbacks_;
  ExampleTrainer trainer_;
  int64_t epoch_size_;  ///< examples
  RunResult result_;
  std::filesystem::path saved_;        ///< checkpoint of the current state; empty if there is none
  std::optional<double> epoch_;        ///< passes over the data so far, if a step or its record says so
  std::optional<RunRecords> records_;  ///< of the rank that writes
  StepProfile profile_;
};

}  // namespace

RunResult run_training(const Model& model, Adapter& adapter, const WeightedExamples& train,
                       const ExampleStore& evaluation, const TrainOptions& options, const RunFolder& folder,
                       const RunCallbacks& callbacks) {
  if (!options.ranks || options.ranks->leads()) make_folders(folder.output);
  return Run(model, adapter, train, evaluation, options, folder, callbacks).to_the_end();
}

}  // namespace lowrank
