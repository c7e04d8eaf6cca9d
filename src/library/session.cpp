#include <filesystem>

#include "base/staged_folder.h"
#include "infer/generate.h"
#include "library/guard.h"
#include "library/session_state.h"
#include "peft/core/registry.h"
#include "session/chat_options.h"
#include "session/evaluate_rows.h"
#include "session/fine_tune/fine_tune.h"
#include "session/merge_files.h"
#include "session/places.h"
#include "session/starting_adapter.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

nlohmann::json parsed(const Options& options) {
  return nlohmann::json::parse(options.json());
}

std::string text_of(const nlohmann::json& options, const char* name) {
  const auto found = options.find(name);
  return found != options.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string task_name(Task task) {
  switch (task) {
    case Task::causal_lm:
      return "causal_lm";
    case Task::classification:
      return "classification";
    case Task::regression:
      return "regression";
    case Task::embedding:
      return "embedding";
  }
  return {};
}

/// The options of a run and its method, which the options name.
struct Run {
  FineTuneOptions options;
  ChosenMethod chosen;
};

Run run_of(const SessionOptions& session, const nlohmann::json& options) {
  Run run;
  RunStart start = start_of_run(text_of(options, "method"), run.options.method,
                                text_of(options, "init_adapter"), session.model);
  run.options.method = start.method;
  run.chosen = std::move(start.chosen);
  std::vector<Field> fields = run.options.fields();
  std::erase_if(fields, [](const Field& field) {
    return find_field(SessionOptions().fields(), field.name) != nullptr;
  });
  for (Field& field : run.chosen.method->fields()) fields.push_back(std::move(field));
  apply(fields, options, "train");
  std::set<std::string> given;
  for (const auto& [name, value] : options.items()) given.insert(name);
  if (start.adapter) check_starting_options(*start.adapter, fields, given);
  run.options.session = session;
  return run;
}

TrainingSummary summary_of(const RunResult& result, const std::string& output) {
  return {result.steps,          result.tokens,    result.first_loss, result.last_loss,
          result.best_eval_loss, result.best_step, result.seconds,    output};
}

FineTuneCallbacks callbacks_of(const TrainingControl& control, int64_t& total) {
  FineTuneCallbacks callbacks;
  callbacks.start = [&total](int64_t, int64_t steps) { total = steps; };
  if (control.after_step)
    callbacks.after_step = [&](const StepResult& step) {
      control.after_step({step.step, total, step.loss, step.learning_rate, step.tokens, step.seconds});
    };
  if (control.after_evaluation)
    callbacks.after_evaluation = [&](int64_t step, const Evaluation& found) {
      control.after_evaluation(step, found.loss);
    };
  return callbacks;
}

/// Trains. `unkept`: the output folder is a scratch folder, which errors do not name.
RunResult train_run(Run run, const TrainingControl& control, bool unkept) {
  int64_t total = 0;
  try {
    return fine_tune(std::move(run.options), std::move(run.chosen), callbacks_of(control, total));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted || !unkept) throw;
    fail(ErrorKind::interrupted, "stopped; without `output` nothing is kept");
  }
}

std::vector<std::vector<int64_t>> encode_prompts(const Tokenizer& tokenizer,
                                                 const std::vector<std::string>& prompts) {
  std::vector<std::vector<int64_t>> ids;
  ids.reserve(prompts.size());
  for (const std::string& prompt : prompts) ids.push_back(encode_prompt(tokenizer, prompt));
  return ids;
}

/// Options of the chat template mean nothing without it.
void check_chat_options(const nlohmann::json& given, bool is_chat) {
  for (const Field& field : ChatOptions().fields())
    check(is_chat || !given.contains(field.name), ErrorKind::invalid, "`{}` needs `chat`", field.name);
}

}  // namespace

std::vector<MethodDescription> list_methods() {
  std::vector<MethodDescription> list;
  for (const MethodInfo* info : known_methods())
    list.push_back({std::string(info->name), std::string(info->summary), std::string(info->paper),
                    info->default_learning_rate});
  return list;
}

Session::Session(const std::string& model, const Options& options) {
  guarded({}, [&] {
    SessionOptions session;
    std::vector<Field> fields = session.fields();
    std::erase_if(fields, [](const Field& field) { return field.name == "model"; });
    apply(fields, parsed(options), "open");
    session.model = located_model(model);
    state_ = std::make_unique<State>(State{session, open_model(session)});
  });
}

Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

ModelDescription Session::model() const {
  const ModelSpec& spec = state_->checkpoint->spec();
  return {spec.family, task_name(spec.task), spec.parameters(), spec.max_positions,
          spec.labels ? spec.labels->names : std::vector<std::string>()};
}

void Session::attach(const std::string& name, const std::string& path) {
  guarded({}, [&] { state_->attach(name, path); });
}

void Session::detach(const std::string& name) {
  guarded({}, [&] {
    state_->named(name);
    state_->attached.erase(name);
  });
}

std::vector<AdapterDescription> Session::adapters() const {
  return guarded({}, [&] {
    std::vector<AdapterDescription> list;
    for (const auto& [name, one] : state_->attached)
      list.push_back({name, std::string(one.adapter->info->name), parameter_count(one.adapter->plan)});
    return list;
  });
}

TrainingSummary Session::train(const std::string& name, const Options& options,
                               const TrainingControl& control) {
  return guarded(control.stop, [&] {
    check(!name.empty(), ErrorKind::invalid, "an adapter needs a name");
    Run run = run_of(state_->options, parsed(options));
    const std::string output = run.options.output;
    const bool whole = run.chosen.method->form().output() == Output::model;
    check(!whole || !output.empty(), ErrorKind::invalid,
          "{} trains the model's own weights: `output` is needed, a folder for the new model",
          run.chosen.info->name);
    const ScratchFolder scratch(fs::temp_directory_path() / "lowrank");
    if (output.empty()) run.options.output = (scratch.path() / "adapter").string();
    const std::string folder = run.options.output;
    state_->unload();
    const RunResult result = train_run(std::move(run), control, output.empty());
    if (!whole) {
      state_->attached.erase(name);
      state_->attach(name, folder);
    }
    return summary_of(result, output);
  });
}

EvaluationSummary Session::evaluate(const Options& options, const std::stop_token& stop) {
  return guarded(stop, [&] {
    EvaluateOptions rows;
    std::string adapter;
    std::vector<Field> fields = rows.fields();
    fields.push_back(field("adapter", adapter, "an attached adapter"));
    apply(fields, parsed(options), "evaluate");
    const Evaluation found = evaluate_rows(state_->running(adapter), state_->options.model, rows);
    return EvaluationSummary{found.loss, found.target_tokens, found.accuracy, found.correlation, found.rows};
  });
}

GeneratedText Session::generate(const std::string& prompt, const Options& options,
                                const GenerationControl& control) {
  return generate(std::vector<std::string>{prompt}, options, control).front();
}

std::vector<GeneratedText> Session::generate(const std::vector<std::string>& prompts, const Options& options,
                                             const GenerationControl& control) {
  return guarded(control.stop, [&] {
    GenerationOptions generation;
    std::string adapter;
    std::vector<Field> fields = generation.fields();
    std::erase_if(fields, [](const Field& one) { return one.name == "num_return_sequences"; });
    fields.push_back(field("adapter", adapter, "an attached adapter"));
    ChatOptions chat;
    bool is_chat = false;
    fields.push_back(field("chat", is_chat, "prompts are questions for the model's chat template"));
    for (Field& option : chat.fields()) fields.push_back(std::move(option));
    const nlohmann::json given = parsed(options);
    apply(fields, given, "generate");
    check_chat_options(given, is_chat);
    if (!state_->tokenizer) state_->tokenizer = load_tokenizer(state_->options.model);
    const Tokenizer& tokenizer = *state_->tokenizer;
    const std::vector<std::vector<int64_t>> ids =
        is_chat ? state_->questions(adapter, chat, prompts, generation.end_tokens)
                : encode_prompts(tokenizer, prompts);
    const RunningModel running = state_->running(adapter);
    check(running.checkpoint.spec().task == Task::causal_lm, ErrorKind::unsupported,
          "{}: an encoder generates no text", state_->options.model);
    TextSink sink;
    if (control.on_text)
      sink = [&](int64_t prompt, const std::string& text) {
        control.on_text(static_cast<size_t>(prompt), text);
      };
    std::vector<GeneratedText> texts;
    for (Generation& made : lowrank::generate(running.model, running.hooks, tokenizer, ids, generation, sink))
      texts.push_back({std::move(made.text), std::move(made.tokens), made.ended});
    return texts;
  });
}

MergeSummary Session::merge(const std::string& adapter, const std::string& output, const Options& options) {
  return guarded({}, [&] {
    const AttachedAdapter& one = state_->named(adapter);
    const ScratchFolder scratch(fs::temp_directory_path() / "lowrank");
    MergeOptions merge;
    apply(merge.fields(), parsed(options), "merge");
    merge.files.model = state_->options.model;
    merge.files.adapter = (scratch.path() / "adapter").string();
    merge.files.merged = output;
    save_adapter(merge.files.adapter, *one.adapter, merge.files.model);
    state_->unload();
    const MergedFiles merged = merge_files(merge);
    MergeSummary summary{merged.result.changed, merged.result.tensors, merged.result.bytes,
                         merged.result.kept.share(), std::nullopt};
    if (merged.comparison) summary.largest_logit_difference = merged.comparison->largest_difference;
    return summary;
  });
}

void Session::save(const std::string& adapter, const std::string& folder) const {
  guarded({}, [&] {
    make_folders(folder);
    save_adapter(folder, *state_->named(adapter).adapter, state_->options.model);
  });
}

}  // namespace lowrank
