#include "session/fine_tune.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/staged_folder.h"
#include "base/version.h"
#include "data/rows/data_files.h"
#include "session/embedding/embedding_run.h"
#include "session/failures.h"
#include "session/places.h"
#include "session/ranks/same_inputs.h"
#include "session/run_overview.h"
#include "session/run_report.h"
#include "session/run_warnings.h"
#include "session/task.h"
#include "session/training_results.h"
#include "train/model_card.h"
#include "train/output_folder.h"
#include "train/run.h"
#include "train/run_identity.h"
#include "train/run_results.h"
#include "train/trial_steps.h"

namespace lowrank {
namespace {

/// The values of all options, with `auto`, 0 and null replaced by what they stand for in this run.
nlohmann::json configuration(FineTuneOptions& options, const Adapter& adapter) {
  nlohmann::json values = resolved(options.fields());
  values.update(resolved(adapter.method->fields()));
  values["lr"] = options.train.lr.value_or(adapter.info->default_learning_rate);
  values["dtype"] = load_options(options.session).compute == at::kBFloat16 ? "bf16" : "f32";
  values["threads"] = options.session.threads > 0 ? options.session.threads : at::get_num_threads();
  return values;
}

/// Whether the first steps need not wait for all rows: the run's length does not depend on how many are
/// examples, nor the order on anything in them.
bool may_begin_early(const FineTuneOptions& options, const std::filesystem::path& resumed) {
  const TrainOptions& train = options.train;
  return train.steps && !train.group_prompts && !train.tokens_per_batch && resumed.empty() && !train.ranks;
}

/// The plan, with passes over rows that are still being read as if all were examples.
RunPlan known_plan(RunPlan plan, const FineTuneOptions& options, const TrainingData& data) {
  const int64_t rows_a_step = options.train.rows_per_batch() * options.train.grad_accum;
  if (!plan.steps_per_epoch && data.early)
    plan.steps_per_epoch = (data.early->rows() + rows_a_step - 1) / rows_a_step;
  return plan;
}

void give_advice(const FineTuneOptions& options, const Adapter& adapter, const RunPlan& plan,
                 const TrainingData& data) {
  for (const std::string& sentence :
       run_warnings({options.train, options.samples, known_plan(plan, options, data),
                     data.examples.epoch_size(), std::ssize(data.evaluation.examples), adapter.info->name,
                     adapter.info->default_learning_rate, adapter.method->form().output() == Output::model}))
    warn("{}", sentence);
}

/// Refuses options that contradict each other, before anything is read.
void check_options(const FineTuneOptions& options) {
  options.train.check_batches();
  check_evaluated(options.train, !options.rows.eval_data.empty() || options.rows.eval_split > 0);
  check_model_place(options.session.model);
}

bool trains_embeddings(const FineTuneOptions& options) {
  return compares_texts(options.task, options.rows.patterns(), options.rows.dataset);
}

/// Settles how rows train embeddings, if they do.
void set_comparison(FineTuneOptions& options, bool compares, const ModelSpec& spec) {
  if (!compares) return check_unused(options.embedding);
  check(options.samples.every == 0, ErrorKind::invalid,
        "`sample_every` is for runs whose model generates text, not for embeddings");
  check(!options.train.ranks, ErrorKind::unsupported,
        "rows that train embeddings are compared with all of their batch, so several processes cannot share "
        "it out; train with one process");
  options.train.contrastive = comparison_of(options.embedding, options.session.model, spec,
                                            options.rows.patterns(), options.rows.dataset);
}

std::optional<LabelSet> labels_of(const FineTuneOptions& options, bool compares) {
  if (compares) return std::nullopt;
  return choose_labels(options.task, options.session.model, options.init_adapter, options.rows.patterns(),
                       options.rows.dataset);
}

void show_rows(const FineTuneOptions& options, const TrainingData& data, const FineTuneCallbacks& callbacks) {
  const auto shown = std::min<int64_t>(options.rows.show_rows, std::ssize(data.train.examples));
  if (shown == 0 || !callbacks.show_row) return;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(options.session.model);
  for (int64_t row = 0; row < shown; ++row)
    callbacks.show_row(data.train.examples[row], tokenizer ? &*tokenizer : nullptr, data.train.in_array);
}

std::string fingerprint_of(const std::string& text) {
  Fingerprint fingerprint;
  fingerprint.add(text);
  return fingerprint.text();
}

RunCallbacks run_callbacks(const FineTuneOptions& options, OutputFolder& output, const Kept& kept,
                           const std::string& chat_template, RunIdentity& identity, RunOverview& overview,
                           const std::function<void()>& look_at_rows, const FineTuneCallbacks& callbacks) {
  RunCallbacks run;
  run.identity = [&] { return identity.whole(); };
  run.after_save = [&] {
    // An adapter that stays because the run is stopped needs its template, too.
    if (!chat_template.empty()) write_chat_template(output.path(), chat_template);
    output.drop_earlier(kept);
  };
  run.after_step = [&, look_at_rows](const StepResult& step, int64_t) {
    look_at_rows();
    if (callbacks.after_step) callbacks.after_step(step);
    overview.refresh();
  };
  run.after_evaluation = callbacks.after_evaluation;
  if (options.train.profile) run.profile_line = callbacks.profile_line;
  return run;
}

/// The training of a rank that leaves nothing.
RunResult follow(const Model& model, Adapter& adapter, const TrainingData& data, const TrainOptions& options,
                 const std::filesystem::path& resumed) {
  RunResult result =
      run_training(model, adapter, data.examples, data.evaluation.examples, options, {{}, {}, resumed});
  options.ranks->leave();
  return result;
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
void finish(const FineTuneOptions& options, const Checkpoint& checkpoint, const Adapter& adapter,
            const std::string& chat_template, const std::filesystem::path& output, const RunResult& result) {
  if (has_other_card(output))
    warn("{}: README.md is not a run's model card and stays as it is", options.output);
  else
    write_model_card(output, adapter, options.session.model, weighted_data(options.rows.data), options.train,
                     result, !chat_template.empty());
  if (result.stopped_early)
    info("stopped after step {} (`early_stop`): {} without a lower loss than step {}'s", result.steps,
         counted(result.evaluations_since_best, "evaluation"), result.best_step);
  info("{} in {:.1f} s ({:.0f} tokens/s, {:.0f} MB), loss {:.4f} -> {:.4f}{}", counted(result.steps, "step"),
       result.seconds, static_cast<double>(result.tokens) / result.seconds,
       static_cast<double>(peak_resident_bytes()) / 1e6, result.first_loss, result.last_loss,
       result.best_eval_loss
           ? fmt::format(", best evaluation loss {:.4f} at step {}", *result.best_eval_loss, result.best_step)
           : "");
  if (adapter.method->form().output() != Output::model)
    info("{}: adapter of {} bytes", options.output, adapter_file_size(output, adapter));
  write_results(output, checkpoint, adapter, options.exported, result.best_eval_loss.has_value());
  if (!chat_template.empty()) write_chat_template(output, chat_template);
}

/// What the rows and a few steps of the run tell; the adapter is trained by them.
nlohmann::ordered_json cost_of(FineTuneOptions options, Adapter& adapter,
                               const std::shared_ptr<const Checkpoint>& checkpoint,
                               const FineTuneCallbacks& callbacks) {
  const ModelSpec& spec = checkpoint->spec();
  options.rows.dataset.labels = spec.labels;
  const auto seed = static_cast<uint64_t>(options.train.seed);
  const TrainingData data = load_training_data(options.rows, options.session.model, options.init_adapter,
                                               spec, adapter.plan.context_rows, seed);
  if (options.train.contrastive) check_comparison(options.train, data.train.examples);
  show_rows(options, data, callbacks);
  const std::unique_ptr<Model> model = load_model(checkpoint, options.session, &adapter.plan, true);
  if (options.init_adapter.empty()) adapter.method->initialise(*checkpoint, seed);
  const RunPlan plan =
      report_run(*model, adapter, data.examples, options.train, load_options(options.session));
  give_advice(options, adapter, plan, data);
  const RunCost cost = try_steps(*model, adapter, data.examples, options.train, plan);
  info("{} {} about {} at {:.0f} tokens/s, evaluations aside, and {:.0f} MB",
       counted(plan.total_steps, "step"), plan.total_steps == 1 ? "takes" : "take", clock_text(cost.seconds),
       cost.tokens_per_second, static_cast<double>(cost.memory_bytes) / 1e6);
  return {{"examples", data.train.examples.size()},
          {"tokens", data.train.tokens()},
          {"evaluation_examples", data.evaluation.examples.size()},
          {"steps", plan.total_steps},
          {"memory_bytes", cost.memory_bytes},
          {"tokens_per_second", cost.tokens_per_second},
          {"seconds", cost.seconds}};
}

}  // namespace

std::vector<Field> FineTuneOptions::run_fields() {
  return {
      field("method", method,
            "training method (`lowrank methods` lists them); lora+prompt_tuning: two side by side"),
      one_of(field("task", task,
                   "embedding: texts' vectors are trained on pairs or scores; classification, regression: "
                   "what an encoder's labels are; auto: follows from the rows"),
             {"auto", "classification", "regression", "embedding"}),
      field("output", output, "folder for the adapter and the run's records"),
      field("init_adapter", init_adapter, "adapter to start from; its method and options are kept"),
      one_of(field("export", exported,
                   "gguf-lora: also write adapter.gguf for llama.cpp and Ollama; gguf: also write the "
                   "merged model as model.gguf (from a GGUF base)"),
             {"none", "gguf-lora", "gguf"}),
      field("overwrite", overwrite, "replace the results of an earlier run in `output`")};
}

std::vector<Field> FineTuneOptions::fields() {
  std::vector<Field> all = session.fields();
  for (std::vector<Field> part : {rows.fields(evaluation_help), run_fields(), train.fields(),
                                  embedding.fields(), samples.fields(), resume.fields()})
    std::ranges::move(part, std::back_inserter(all));
  return all;
}

RunResult fine_tune(FineTuneOptions options, ChosenMethod chosen, const FineTuneCallbacks& callbacks) {
  const std::string data_given = fmt::format("{}", fmt::join(options.rows.data, ""));
  need_options({{"model", &options.session.model}, {"data", &data_given}, {"output", &options.output}});
  check_options(options);
  const std::vector<std::string> patterns = options.rows.patterns();
  for (const std::string& pattern : patterns) check_apart(pattern, options.output);
  std::vector<std::string> read = patterns;
  read.insert(read.end(), {options.rows.eval_data, options.samples.data});
  const std::optional<RankGroup> ranks = options.train.ranks;
  const bool leads = !ranks || ranks->leads();
  std::optional<OutputFolder> folder;  // of the rank that writes
  if (leads)
    folder.emplace(RunFiles{options.output, options.session.model, options.init_adapter, std::move(read),
                            options.overwrite, options.resume.resume});
  const std::filesystem::path resumed = from_first(ranks, leads ? folder->resumed().string() : "");
  const bool compares = trains_embeddings(options);
  const auto checkpoint = open_model(options.session, labels_of(options, compares));
  const ModelSpec& spec = checkpoint->spec();
  set_comparison(options, compares, spec);
  options.train.check_smoothing(spec);
  report_labels(spec);
  const bool fresh = options.init_adapter.empty();
  Adapter adapter = fresh ? make_adapter(*chosen.info, std::move(chosen.method), *checkpoint)
                          : load_told_adapter(options.init_adapter, *checkpoint);
  check_export(options.exported, options.session.model, spec, adapter);
  check_results(*checkpoint, adapter, options.exported);
  report_plan(adapter, spec);
  options.rows.dataset.labels = spec.labels;
  if (options.rows.chat.chat_date.empty())
    options.rows.chat.chat_date = from_first(ranks, leads ? chat_date_of(resumed) : "");
  const auto seed = static_cast<uint64_t>(options.train.seed);
  TrainingData data = load_training_data(options.rows, options.session.model, options.init_adapter, spec,
                                         adapter.plan.context_rows, seed, may_begin_early(options, resumed));
  if (options.train.contrastive) check_comparison(options.train, data.train.examples);
  show_rows(options, data, callbacks);
  std::optional<RunSamples> samples =
      plan_samples(options.samples, options.rows, options.session.model, options.init_adapter, spec, data);
  const std::unique_ptr<Model> model = load_model(checkpoint, options.session, &adapter.plan, true);
  if (fresh) adapter.method->initialise(*checkpoint, seed);
  const RunPlan plan =
      report_run(*model, adapter, data.examples, options.train, load_options(options.session));
  give_advice(options, adapter, plan, data);
  nlohmann::json decisive = decisive_options(configuration(options, adapter));
  const std::string chat_template = data.train.chat_template;
  if (!chat_template.empty()) decisive["the chat template"] = fingerprint_of(chat_template);
  if (ranks) decisive[processes_key] = ranks->size();
  RunIdentity identity({*checkpoint, adapter, data.examples, data.evaluation.examples, plan, decisive,
                        std::string(program_version())});
  if (ranks) check_same_inputs(*ranks, identity.known(), *checkpoint);
  if (!leads) return follow(*model, adapter, data, options.train, resumed);
  OutputFolder& output = *folder;
  const auto page = [&, configured = configuration(options, adapter)] {
    return page_of_run(
        fmt::format("{} on {}", adapter.info->name, without_slash(options.session.model).filename().string()),
        configured, data);
  };
  RunOverview overview(output.path(), page(), plan.total_steps);
  const auto take_rows = [&](bool wait) {
    if (data.take_early(wait)) overview.set_page(page());
  };
  const int64_t first = report_resumed(resumed, identity, options.resume.anyway);
  throw_if_interrupted();
  output.begin();
  if (callbacks.start) callbacks.start(first, plan.total_steps);
  const Kept kept = written_at_the_end(adapter, options.exported, !chat_template.empty());
  RunCallbacks followed = run_callbacks(
      options, output, kept, chat_template, identity, overview, [&] { take_rows(false); }, callbacks);
  if (samples) {
    samples->set_folder(output.path(), resumed);
    followed.sample = [&](int64_t step) { samples->make(*model, adapter, step); };
    followed.sample_every = options.samples.every;
  }
  const RunResult result = shown_to_the_end(
      [&] {
        RunResult trained =
            run_training(*model, adapter, data.examples, data.evaluation.examples, options.train,
                         {output.path(), options.session.model, resumed}, followed);
        take_rows(true);
        if (ranks) ranks->leave();
        return trained;
      },
      overview);
  checkpoint->check_unchanged();
  finish(options, *checkpoint, adapter, chat_template, output.path(), result);
  output.drop_earlier([](const auto&) { return false; });
  return result;
}

nlohmann::ordered_json describe_fine_tune(FineTuneOptions options, ChosenMethod chosen,
                                          const FineTuneCallbacks& callbacks) {
  need_options({{"model", &options.session.model}});
  check_options(options);
  std::vector<std::string> read = options.rows.patterns();
  read.push_back(options.rows.eval_data);
  for (const std::string& data : read) {
    if (data.empty()) continue;
    for (const std::filesystem::path& file : data_files(data))
      check(std::filesystem::exists(file), ErrorKind::not_found, "{}: no such file", file.string());
  }
  const bool has_rows = !options.rows.data.empty();
  const bool compares = trains_embeddings(options);
  const auto checkpoint = has_rows ? open_model(options.session, labels_of(options, compares)) : nullptr;
  const ModelSpec spec =
      checkpoint ? checkpoint->spec() : read_spec(options.session.model, labels_of(options, compares));
  set_comparison(options, compares, spec);
  options.train.check_smoothing(spec);
  report_labels(spec);
  Adapter adapter = !checkpoint ? plan_adapter(*chosen.info, std::move(chosen.method), spec)
                    : options.init_adapter.empty()
                        ? make_adapter(*chosen.info, std::move(chosen.method), *checkpoint)
                        : load_told_adapter(options.init_adapter, *checkpoint);
  check_export(options.exported, options.session.model, spec, adapter);
  report_plan(adapter, spec);
  nlohmann::ordered_json description = {{"configuration", configuration(options, adapter)},
                                        {"trained_parameters", parameter_count(adapter.plan)},
                                        {"head_parameters", head_count(adapter.plan, spec)},
                                        {"model_parameters", spec.parameters()},
                                        {"macs_per_token", adapter.plan.macs_per_token},
                                        {"base_macs_per_token", spec.macs_per_token()},
                                        {"context_rows", adapter.plan.context_rows},
                                        {"context", spec.max_positions},
                                        {"state_bytes", state_bytes(parameter_count(adapter.plan))},
                                        {"targets", adapter.plan.targets}};
  if (checkpoint) description["run"] = cost_of(options, adapter, checkpoint, callbacks);
  return description;
}

}  // namespace lowrank
