#include "train/run.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/staged_folder.h"
#include "kernels/core/op_profile.h"
#include "peft/files/embedding_adapter.h"
#include "train/checkpoint_folder.h"
#include "train/example_trainer.h"
#include "train/profile_table.h"
#include "train/records/run_records.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

nlohmann::ordered_json entry_of(const StepResult& step) {
  nlohmann::ordered_json entry = {{"step", step.step},
                                  {"epoch", step.epoch},
                                  {"loss", step.loss},
                                  {"grad_norm", step.grad_norm},
                                  {"learning_rate", step.learning_rate},
                                  {"tokens", step.tokens},
                                  {"target_tokens", step.target_tokens},
                                  {"tokens_per_second", static_cast<double>(step.tokens) / step.seconds},
                                  {"peak_rss_bytes", peak_resident_bytes()},
                                  {"seconds", step.seconds}};
  for (const auto& [name, figure] : step.figures) entry[name] = figure;
  return entry;
}

/// The parameters that the Trainer of transformers counts for its number of operations: those of the base
/// outside embeddings and those that the method adds to its modules; virtual tokens are none of them.
int64_t counted_parameters(const ModelSpec& spec, const TrainPlan& plan) {
  int64_t count = 0;
  for (const TensorRef& tensor : spec.tensors) {
    const bool embedded = tensor.role == Role::embedding || tensor.role == Role::position;
    if (!embedded && !(spec.tied_head && tensor.role == Role::head)) count += *element_count(tensor.shape);
  }
  if (plan.context_rows > 0) return count;
  for (const ParameterSpec& parameter : plan.parameters) {
    if (!plan.uses.contains(parameter.name)) count += *element_count(parameter.shape);
  }
  return count;
}

/// What the last of these records of steps says.
std::optional<double> last_epoch(const std::string& lines) {
  if (lines.empty()) return std::nullopt;
  const size_t end = lines.size() - 1, before = end == 0 ? std::string::npos : lines.rfind('\n', end - 1);
  const nlohmann::json last = nlohmann::json::parse(
      std::string_view(lines).substr(before == std::string::npos ? 0 : before + 1), nullptr, false);
  if (!last.is_object() || !last.contains("epoch") || !last["epoch"].is_number()) return std::nullopt;
  return last["epoch"].get<double>();
}

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
    if (callbacks_.profile_line && profiled_steps_ > 0) {
      for (const std::string& line : profile_table(profile_, profiled_steps_, profiled_seconds_))
        callbacks_.profile_line(line);
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
    const StepResult found = options_.profile ? profiled_step() : trainer_.step();
    if (records_) records_->write(entry_of(found));
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

  /// The first step creates kernels and buffers that later steps reuse; it is not counted.
  StepResult profiled_step() {
    if (std::exchange(warmed_up_, true) == false) return trainer_.step();
    const ProfileScope scope(profile_);
    const StepResult found = trainer_.step();
    ++profiled_steps_;
    profiled_seconds_ += found.seconds;
    return found;
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
    record_evaluation(found, std::max(monotonic_seconds() - started, 1e-6));
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

  void record_evaluation(const Evaluation& found, double seconds) {
    if (!records_) return;
    nlohmann::ordered_json entry = {{"step", step()}, {"epoch", epoch_.value_or(plan().epoch(step()))}};
    const nlohmann::ordered_json figures = found.figures();
    for (const auto& [name, value] : figures.items()) entry["eval_" + name] = value;
    const auto examples = static_cast<double>(evaluation_.size());
    entry["eval_runtime"] = seconds;
    entry["eval_samples_per_second"] = examples / seconds;
    entry["eval_steps_per_second"] =
        std::ceil(examples / static_cast<double>(options_.rows_per_batch())) / seconds;
    records_->write(entry);
  }

  Evaluation evaluation() {
    Evaluation found;
    const InferenceHooks hooks(adapter_);
    const int64_t rows = options_.rows_per_batch();
    unless_interrupted([&] {
      found = options_.contrastive ? evaluate(model_, hooks, evaluation_, rows, *options_.contrastive)
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
    const RunPlan plan = trainer_.plan();
    const int64_t steps_per_epoch = plan.steps_per_epoch.value_or(trainer_.total_steps());
    TrainerFacts facts;
    facts.total_steps = trainer_.total_steps();
    facts.log_every = options_.log_every;
    facts.eval_every = options_.eval_every > 0 ? options_.eval_every : steps_per_epoch;
    facts.save_every = options_.save_every;
    // Where tokens are counted, on average.
    facts.examples_per_step = options_.tokens_per_batch ? std::max<int64_t>(1, epoch_size_ / steps_per_epoch)
                                                        : options_.rows_per_batch() * options_.grad_accum;
    facts.batch_size = std::max<int64_t>(1, facts.examples_per_step / options_.grad_accum);
    facts.epochs = plan.epoch(trainer_.total_steps());
    facts.parameters = counted_parameters(model_.spec(), adapter_.plan);
    facts.best_loss = result_.best_eval_loss;
    facts.best_step = result_.best_step;
    if (result_.best_eval_loss) facts.best_place = best.string();
    return facts;
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
  OpProfile profile_;
  bool warmed_up_ = false;
  int64_t profiled_steps_ = 0;
  double profiled_seconds_ = 0;
};

}  // namespace

RunResult run_training(const Model& model, Adapter& adapter, const WeightedExamples& train,
                       const ExampleStore& evaluation, const TrainOptions& options, const RunFolder& folder,
                       const RunCallbacks& callbacks) {
  if (!options.ranks || options.ranks->leads()) make_folders(folder.output);
  return Run(model, adapter, train, evaluation, options, folder, callbacks).to_the_end();
}

}  // namespace lowrank
