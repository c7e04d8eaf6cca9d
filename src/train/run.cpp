#include "train/run.h"

#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/staged_folder.h"
#include "kernels/op_profile.h"
#include "train/profile_table.h"

namespace lowrank {
namespace {

class MetricsFile {
 public:
  explicit MetricsFile(const std::filesystem::path& path) : path_(path), file_(path, std::ios::trunc) {
    check(file_.good(), ErrorKind::io, "{}: cannot write", path.string());
  }

  void write(const nlohmann::ordered_json& entry) {
    file_ << entry.dump() << '\n' << std::flush;
    check(file_.good(), ErrorKind::io, "{}: cannot write (is the disk full?)", path_.string());
  }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

nlohmann::ordered_json entry_of(const StepResult& step) {
  return {{"step", step.step},
          {"epoch", step.epoch},
          {"loss", step.loss},
          {"grad_norm", step.grad_norm},
          {"learning_rate", step.learning_rate},
          {"tokens", step.tokens},
          {"target_tokens", step.target_tokens},
          {"tokens_per_second", static_cast<double>(step.tokens) / step.seconds},
          {"peak_rss_bytes", peak_resident_bytes()},
          {"seconds", step.seconds}};
}

class Run {
 public:
  Run(const Model& model, Adapter& adapter, std::span<const Example> train,
      std::span<const Example> evaluation, const TrainOptions& options, const RunPlaces& places)
      : model_(model),
        adapter_(adapter),
        evaluation_(evaluation),
        options_(options),
        places_(places),
        trainer_(model, adapter, train, options),
        metrics_(places.output / "metrics.jsonl") {}

  RunResult to_the_end() {
    while (!trainer_.done()) {
      if (interrupted()) stop();
      take_step();
      const int64_t step = trainer_.state().step;
      if (evaluates_after(step)) evaluate_now();
      if (options_.save_every > 0 && step % options_.save_every == 0 && !trainer_.done()) save_checkpoint();
    }
    if (evaluation_.empty()) save_result();
    result_.steps = trainer_.state().step;
    if (places_.tell_profile && profiled_steps_ > 0) {
      for (const std::string& line : profile_table(profile_, profiled_steps_, profiled_seconds_))
        places_.tell_profile(line);
    }
    return result_;
  }

 private:
  void take_step() {
    const StepResult step = options_.profile ? profiled_step() : trainer_.step();
    metrics_.write(entry_of(step));
    if (step.step == 1) result_.first_loss = step.loss;
    result_.last_loss = step.loss;
    result_.tokens += step.tokens;
    result_.target_tokens += step.target_tokens;
    result_.seconds += step.seconds;
    if (places_.after_step) places_.after_step(step, trainer_.total_steps());
  }

  /// The first step makes kernels and buffers that the others find; it is not counted.
  StepResult profiled_step() {
    if (trainer_.state().step == 0) return trainer_.step();
    const ProfileScope scope(profile_);
    const StepResult step = trainer_.step();
    ++profiled_steps_;
    profiled_seconds_ += step.seconds;
    return step;
  }

  bool evaluates_after(int64_t step) const {
    if (evaluation_.empty()) return false;
    const int64_t every = options_.eval_every > 0 ? options_.eval_every : trainer_.steps_per_epoch();
    return step % every == 0 || trainer_.done();
  }

  void evaluate_now() {
    TrainState& state = trainer_.state();
    adapter_.method->begin_step({state.step, trainer_.total_steps()});
    const Evaluation found = evaluation();
    nlohmann::ordered_json entry = {
        {"step", state.step},
        {"epoch", static_cast<double>(state.step) / static_cast<double>(trainer_.steps_per_epoch())}};
    const nlohmann::ordered_json figures = found.figures();
    for (const auto& [name, value] : figures.items()) entry["eval_" + name] = value;
    metrics_.write(entry);
    if (std::isnan(state.best_loss) || found.loss < state.best_loss) {
      state.best_loss = found.loss;
      state.best_step = state.step;
      save_result();
      result_.best_eval_loss = found.loss;
      result_.best_step = state.step;
    }
    if (places_.after_evaluation) places_.after_evaluation(state.step, found);
  }

  Evaluation evaluation() {
    try {
      return evaluate(model_, *adapter_.method, evaluation_, options_.batch_size);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      stop();
    }
  }

  void save_result() {
    save_adapter(places_.output, adapter_, places_.base);
    if (places_.after_save) places_.after_save();
  }

  std::filesystem::path checkpoint_path() const {
    return places_.output / fmt::format("checkpoint-{}", trainer_.state().step);
  }

  void save_checkpoint() {
    try {
      StagedFolder folder(checkpoint_path());
      write_adapter(folder.path(), adapter_, places_.base);
      write_state(folder.path() / "trainer_state.safetensors", trainer_.state());
      folder.commit();
      saved_step_ = trainer_.state().step;
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("the state after step {} cannot be saved as {}: {}", trainer_.state().step,
                              checkpoint_path().string(), error.what()),
                  error.hint());
    }
  }

  [[noreturn]] void stop() {
    if (trainer_.state().step == 0) fail(ErrorKind::interrupted, "interrupted before the first step");
    if (saved_step_ != trainer_.state().step) save_checkpoint();
    fail(ErrorKind::interrupted, "interrupted after step {}; the state is in {}", trainer_.state().step,
         checkpoint_path().string());
  }

  const Model& model_;
  Adapter& adapter_;
  std::span<const Example> evaluation_;
  const TrainOptions& options_;
  const RunPlaces& places_;
  Trainer trainer_;
  MetricsFile metrics_;
  RunResult result_;
  OpProfile profile_;
  int64_t saved_step_ = 0;
  int64_t profiled_steps_ = 0;
  double profiled_seconds_ = 0;
};

}  // namespace

RunResult run_training(const Model& model, Adapter& adapter, std::span<const Example> train,
                       std::span<const Example> evaluation, const TrainOptions& options,
                       const RunPlaces& places) {
  std::filesystem::create_directories(places.output);
  return Run(model, adapter, train, evaluation, options, places).to_the_end();
}

}  // namespace lowrank
