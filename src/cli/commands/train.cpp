// lowrank train: from a base model and rows of text to an adapter folder.
#include <cstdlib>
#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/processes/local_processes.h"
#include "cli/registry.h"
#include "data/shown_example.h"
#include "report/smoothed.h"
#include "session/fine_tune/base_sharing.h"
#include "session/fine_tune/describe_fine_tune.h"
#include "session/fine_tune/fine_tune.h"
#include "session/starting_adapter.h"
#include "train/ranks/rank_device.h"
#include "train/ranks/rank_place.h"

namespace lowrank {
namespace {

constexpr double most_processes = 1024;

/// The run's options and its method with its own, as the arguments give them.
struct Request {
  FineTuneOptions options;
  ChosenMethod chosen;
  bool dry_run = false;
  int64_t processes = 1;
};

/// Returns false when help was asked for and printed.
bool parse(Arguments& arguments, Request& request) {
  arguments.set_example("lowrank train --model model.gguf --data rows.jsonl --rank 8 --output adapter");
  FineTuneOptions& options = request.options;
  arguments.add(options.run_fields(), "Run");
  arguments.add({field("dry_run", request.dry_run,
                       "print the resolved configuration, what would be trained and, with rows, what it "
                       "costs in time and memory, then stop")},
                "Run");
  arguments.add({limited(field("processes", request.processes,
                               "processes on this machine that share out each step; they also share its "
                               "threads. torchrun, mpirun and srun start processes on several machines"),
                         1, most_processes)},
                "Run");
  arguments.add({field("shard_base", options.shard_base,
                       "share out the base's layers over the processes, of which each keeps its part and "
                       "fetches the others' when it needs them, instead of reading all from the file")},
                "Run");
  arguments.add(options.resume.fields(), "Run");
  arguments.add(options.session.fields(), "Model");
  arguments.add(options.rows.fields(FineTuneOptions::evaluation_help), "Data");
  arguments.add(options.train.fields(), "Training");
  arguments.add(options.embedding.fields(), "Embeddings");
  arguments.add(options.samples.fields(), "Training");
  std::string init_adapter, model;
  RunStart start;
  const auto keep = [](std::string& text) {
    return [&text](const std::string& known) {
      text = known;
      return std::vector<Field>();
    };
  };
  arguments.add_later("init_adapter", keep(init_adapter));
  arguments.add_later("model", keep(model));
  arguments.add_later(
      "method",
      [&](const std::string& name) {
        // Without a model, the missing option is what `fine_tune` names.
        start = start_of_run(name, request.options.method, model.empty() ? "" : init_adapter, model);
        request.options.method = start.method;
        request.chosen = std::move(start.chosen);
        return request.chosen.method->fields();
      },
      all_method_options());
  if (!arguments.parse()) return false;
  if (start.adapter) check_starting_options(*start.adapter, arguments.fields(), arguments.given());
  return true;
}

FineTuneCallbacks row_display() {
  FineTuneCallbacks callbacks;
  callbacks.show_row = [marks = standard_error_has_colours() ? coloured_targets : TargetMarks()](
                           const Example& example, const Tokenizer* tokenizer, bool in_array) {
    std::cerr << shown_example(example, tokenizer, marks, in_array) << '\n';
  };
  return callbacks;
}

int dry_run(Request request) {
  const auto description =
      describe_fine_tune(std::move(request.options), std::move(request.chosen), row_display());
  std::cout << json_text(description, 2) << '\n';
  return 0;
}

/// The line that shows a run while it goes on.
class RunDisplay {
 public:
  /// `log_every`: as TrainOptions::log_every.
  explicit RunDisplay(int64_t log_every) : log_every_(log_every) {}

  void start(int64_t total) { last_ = total; }
  void show(const StepResult& step) {
    // The first step is no measure of the others: kernels are created, and samples were generated before it.
    if (!progress_) begin(step.step);
    progress_->update(step.step, {loss_.add(step.loss), static_cast<double>(step.tokens) / step.seconds,
                                  resident_bytes(), std::nullopt, step.learning_rate, evaluation_loss_});
    if (step.step == last_) progress_.reset();
  }
  void show(int64_t step, const Evaluation& found) {
    evaluation_loss_ = found.loss;
    if (progress_) progress_->clear();
    info("step {}: evaluation {}", step, found.summary());
  }

 private:
  void begin(int64_t first) {
    ProgressOutput output = ProgressOutput::standard_error();
    output.rounds_between = log_every_;
    progress_.emplace("step", last_, first, std::move(output));
  }

  /// Averages over about the last ten steps.
  Smoothed loss_{0.9};
  int64_t log_every_, last_ = 0;
  std::optional<double> evaluation_loss_;
  std::optional<Progress> progress_;
};

int train(Request request) {
  RunDisplay display(request.options.train.log_every);
  FineTuneCallbacks callbacks = row_display();
  callbacks.start = [&](int64_t, int64_t total) { display.start(total); };
  callbacks.after_step = [&](const StepResult& step) { display.show(step); };
  callbacks.after_evaluation = [&](int64_t step, const Evaluation& found) { display.show(step, found); };
  callbacks.profile_line = [](const std::string& line) { info("{}", line); };
  fine_tune(std::move(request.options), std::move(request.chosen), callbacks);
  return 0;
}

/// The run of one of several processes. What all of them would say is said by the first alone, except for
/// why a run ends.
int train_as_rank(Request request, const RankPlace& place) {
  end_with_launcher();
  if (!place.leads()) {
    set_log_sink([](LogLevel, std::string_view) {});
    request.options.rows.show_rows = 0;
  }
  SessionOptions& session = request.options.session;
  if (session.threads == 0 && !std::getenv("OMP_NUM_THREADS"))
    session.threads = threads_of_rank(place.local_size);
  session.device = device_of_rank(session.device, place);
  // libtorch looks for its CUDA side once, so before Gloo uses libtorch.
  check_rank_device(session.device, place);
  std::optional<RankGroup> group;
  try {
    group = RankGroup::join(place);
    if (place.leads()) info("{} processes share out each step", place.size);
    request.options.train.ranks = group;
    return train(std::move(request));
  } catch (const Error& error) {
    if (group) group->fail(error.what());
    throw Error(error.kind(),
                place.leads() ? error.what() : fmt::format("rank {}: {}", place.rank, error.what()),
                error.hint());
  } catch (const std::exception& error) {
    if (group) group->fail(error.what());
    throw;
  }
}

int run(Arguments& arguments) {
  Request request;
  if (!parse(arguments, request)) return 0;
  if (request.options.shard_base) settle_shared_base(request.options.session);
  if (request.dry_run) return dry_run(std::move(request));
  const std::optional<RankPlace> place = rank_place([](const char* name) { return std::getenv(name); });
  check(
      !request.options.shard_base || place || request.processes > 1, ErrorKind::invalid,
      "`shard_base` shares the base out over several processes, and this is one; give `processes`, or start "
      "it by torchrun, mpirun or srun");
  check(!place || request.processes == 1 || request.processes == place->size, ErrorKind::invalid,
        "`processes` is {}, but this is one of {} processes that were started together; leave the option out",
        request.processes, place ? place->size : 1);
  if (place) return train_as_rank(std::move(request), *place);
  if (request.processes == 1) return train(std::move(request));
  // One sentence, where each process would say the same.
  const RankPlace first{.size = request.processes, .local_size = request.processes};
  check_rank_device(device_of_rank(request.options.session.device, first), first);
  return run_local_processes(request.processes);
}

}  // namespace

extern const CommandInfo train_command;
const CommandInfo train_command{"train", "trains an adapter and writes it as a PEFT folder", run};

}  // namespace lowrank
