// lowrank train: from a base model and rows of text to an adapter folder.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/method_options.h"
#include "cli/registry.h"
#include "cli/resumption.h"
#include "cli/session.h"
#include "cli/task.h"
#include "cli/training_data.h"
#include "cli/training_results.h"
#include "peft/gguf_lora.h"
#include "peft/side_by_side.h"
#include "text/data_files.h"
#include "text/training_batch.h"
#include "train/example_trainer.h"
#include "train/model_card.h"
#include "train/output_folder.h"
#include "train/run.h"
#include "train/run_identity.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

struct Options {
  SessionOptions session;
  TrainingDataOptions rows;
  TrainOptions train;
  ResumeOptions resume;
  std::string method = "lora", output, init_adapter, exported = "none", task = "auto";
  bool overwrite = false, dry_run = false;

  std::vector<Field> fields() {
    return {
        field("method", method,
              "what is trained; `lowrank methods` lists them; lora+prompt_tuning: side by side"),
        one_of(field("task", task, task_help), {"auto", "classification", "regression"}),
        field("output", output, "folder for the adapter and the run's records"),
        field("init_adapter", init_adapter, "adapter to start from, with its own options"),
        one_of(
            field(
                "export", exported,
                "gguf-lora: write adapter.gguf, too, for llama.cpp and Ollama; gguf: write the merged model "
                "as model.gguf (from a GGUF base); refused at the start when it cannot be done"),
            {"none", "gguf-lora", "gguf"}),
        field("overwrite", overwrite, "let the results of an earlier run in --output give way to this one's"),
        field("dry_run", dry_run, "print the resolved configuration and what would be trained, and stop")};
  }
};

/// f32 values, gradients and AdamW's two moments.
int64_t state_bytes(int64_t parameters) {
  return 4 * parameters * static_cast<int64_t>(sizeof(float));
}

/// Number of values in a label head that is trained in full besides the method's own parameters.
int64_t head_count(const TrainPlan& plan, const ModelSpec& spec) {
  int64_t count = 0;
  for (const TensorRef& tensor : spec.tensors) {
    if (tensor.start_deviation && plan.uses.contains(tensor.name)) count += *element_count(tensor.shape);
  }
  return count;
}

void tell_plan(const Adapter& adapter, const ModelSpec& spec) {
  const int64_t count = parameter_count(adapter.plan);
  info("{}: {} trained parameters in {} tensors ({:.3f} % of the model's {}), {} modules", adapter.info->name,
       count, adapter.plan.parameters.size(),
       100.0 * static_cast<double>(count) / static_cast<double>(spec.parameters()), spec.parameters(),
       adapter.plan.targets.size());
  if (const int64_t head = head_count(adapter.plan, spec); head > 0)
    info("{} of them in the label head, which trains whole", head);
  info(
      "a token takes {} multiply-adds beside the base's {} ({:.2f} %); values, gradients and moments take "
      "{:.1f} MB",
      adapter.plan.multiply_adds, spec.multiply_adds(),
      100.0 * static_cast<double>(adapter.plan.multiply_adds) / static_cast<double>(spec.multiply_adds()),
      static_cast<double>(state_bytes(count)) / 1e6);
  if (adapter.plan.context_rows > 0) {
    info("virtual tokens take {} of the context's {} positions ({:.2f} %) in each sequence",
         adapter.plan.context_rows, spec.max_positions,
         100.0 * static_cast<double>(adapter.plan.context_rows) / static_cast<double>(spec.max_positions));
  }
}

void tell_labels(const ModelSpec& spec) {
  if (spec.task == Task::classification)
    info("classes: {}", fmt::join(spec.labels->names, ", "));
  else if (spec.task == Task::regression)
    info("labels are values");
}

/// Refuses, before anything is loaded or trained, what the requested export cannot represent.
void check_export(const Options& options, const ModelSpec& spec, const Adapter& adapter) {
  if (options.exported == "gguf-lora") check_gguf_lora(spec, *adapter.method, "--export gguf-lora");
  if (options.exported != "gguf") return;
  check(std::filesystem::is_regular_file(options.session.model), ErrorKind::unsupported,
        "--export gguf: a GGUF file is written from a GGUF base only");
  check(std::ranges::any_of(spec.tensors,
                            [&](const TensorRef& tensor) { return adapter.method->merges(tensor); }),
        ErrorKind::unsupported, "--export gguf: {} changes no weight, so it cannot be merged",
        adapter.info->name);
}

/// Reports what sharing prompts saves, or why they are not shared.
void tell_prompts(const std::string& why_apart, std::span<const Example> examples,
                  const TrainOptions& options) {
  const std::vector<int64_t> groups = prompt_groups(examples);
  const int64_t prompts = *std::ranges::max_element(groups) + 1;
  // Plain-text rows have no prompt.
  const bool has_prompts = std::ranges::any_of(examples, [](const Example& example) {
    return !example.labels.empty() && example.labels[0] == no_target;
  });
  const bool repeated = has_prompts && prompts < std::ssize(groups);
  if (!why_apart.empty()) {
    if (options.group_prompts)
      warn("--group-prompts saves nothing: prompts are not shared: {}", why_apart);
    else if (repeated && options.share_prompts)
      info("prompts are not shared: {}", why_apart);
  } else if (repeated) {
    info(
        "{} rows have {} different prompts; what rows of one micro-batch begin with alike is computed once{}",
        groups.size(), prompts,
        options.group_prompts ? "" : " (--group-prompts brings more of them together)");
  }
}

/// Reports prompt sharing and the estimated peak memory of the run; returns its plan.
RunPlan tell_run(const Model& model, const Adapter& adapter, std::span<const Example> examples,
                 const Options& options) {
  // Free what loading the weights used.
  return_freed_memory();
  ExampleSource source(examples, options.train, layout_of(options.train, model.spec(), adapter));
  RunPlan plan = plan_run(options.train, source.steps_per_epoch());
  const BatchSize batch = largest_batch(source, *adapter.method, plan.total_steps);
  tell_prompts(why_prompts_differ(options.train, model.spec(), adapter), examples, options.train);
  const LoadOptions load = load_options(options.session);
  const int64_t more =
      mapped_bytes(*adapter.base, load) +
      training_bytes(model.spec(), adapter.plan, load.compute, batch, options.train.gradient_checkpointing);
  info("memory: about {:.0f} MB at most, {:.0f} of them for training on micro-batches of up to {} tokens",
       static_cast<double>(resident_bytes() + more) / 1e6, static_cast<double>(more) / 1e6, batch.rows);
  return plan;
}

RunPlaces places_of(const Options& options, OutputFolder& output, const Kept& kept, Progress& progress) {
  RunPlaces places;
  places.output = output.path();
  places.resume = output.resumed();
  places.after_save = [&] { output.drop_earlier(kept); };
  places.base = options.session.model;
  places.after_step = [&](const StepResult& step, int64_t) {
    progress.update(step.step, {step.loss, static_cast<double>(step.tokens) / step.seconds, resident_bytes(),
                                std::nullopt});
  };
  places.after_evaluation = [](int64_t step, const Evaluation& found) {
    info("step {}: evaluation {}", step, found.summary());
  };
  if (options.train.profile) places.tell_profile = [](const std::string& line) { info("{}", line); };
  return places;
}

/// The values of all options, with `auto`, 0 and null replaced by what they stand for in this run.
nlohmann::json configuration(const Options& options, const MethodInfo& method,
                             const std::vector<Field>& fields) {
  nlohmann::json values = resolved(fields);
  values["lr"] = options.train.lr.value_or(method.default_learning_rate);
  values["dtype"] = load_options(options.session).compute == at::kBFloat16 ? "bf16" : "f32";
  values["threads"] = options.session.threads > 0 ? options.session.threads : at::get_num_threads();
  return values;
}

void tell_result(const RunResult& result) {
  info("{} steps in {:.1f} s ({:.0f} tokens/s, {:.0f} MB), loss {:.4f} -> {:.4f}{}", result.steps,
       result.seconds, static_cast<double>(result.tokens) / result.seconds,
       static_cast<double>(peak_resident_bytes()) / 1e6, result.first_loss, result.last_loss,
       result.best_eval_loss
           ? fmt::format(", best evaluation loss {:.4f} at step {}", *result.best_eval_loss, result.best_step)
           : "");
}

int train(Options& options, ChosenMethod chosen, const std::vector<Field>& fields) {
  require(
      {{"--model", &options.session.model}, {"--data", &options.rows.data}, {"--output", &options.output}});
  check_apart(options.rows.data, options.output);
  OutputFolder output({options.output,
                       options.session.model,
                       options.init_adapter,
                       {options.rows.data, options.rows.eval_data},
                       options.overwrite,
                       options.resume.resume});
  const std::optional<LabelSet> labels = choose_labels(
      options.task, options.session.model, options.init_adapter, options.rows.data, options.rows.dataset);
  const auto checkpoint = open_model(options.session, labels);
  const ModelSpec& spec = checkpoint->spec();
  tell_labels(spec);
  Adapter adapter = options.init_adapter.empty()
                        ? make_adapter(*chosen.info, std::move(chosen.method), *checkpoint)
                        : load_told_adapter(options.init_adapter, *checkpoint);
  check_export(options, spec, adapter);
  check_results(*checkpoint, adapter, options.exported);
  tell_plan(adapter, spec);
  options.rows.dataset.labels = spec.labels;
  const TrainingData data =
      load_training_data(options.rows, options.session.model, spec, adapter.plan.context_rows,
                         static_cast<uint64_t>(options.train.seed));
  const std::unique_ptr<Model> model = load_model(checkpoint, options.session, &adapter.plan, true);
  if (options.init_adapter.empty())
    adapter.method->initialise(*checkpoint, static_cast<uint64_t>(options.train.seed));
  const RunPlan plan = tell_run(*model, adapter, data.train.examples, options);
  RunIdentity identity({*checkpoint, adapter, data.train.examples, data.evaluation.examples, plan,
                        decisive_options(configuration(options, *adapter.info, fields)), program_version()});
  const int64_t first = tell_resumed(output.resumed(), identity, options.resume.anyway);
  throw_if_interrupted();
  output.begin();
  const Kept kept = written_at_the_end(adapter, options.exported);
  RunResult result;
  {
    Progress progress("step", plan.total_steps, first);
    RunPlaces places = places_of(options, output, kept, progress);
    places.identity = [&] { return identity.whole(); };
    result =
        run_training(*model, adapter, data.train.examples, data.evaluation.examples, options.train, places);
  }
  checkpoint->check_unchanged();
  if (has_other_card(output.path()))
    warn("{}: README.md is not a run's model card and stays as it is", options.output);
  else
    write_model_card(output.path(), adapter, options.session.model, options.rows.data, options.train, result);
  tell_result(result);
  if (adapter.method->form().output() != Output::model)
    info("{}: adapter of {} bytes", options.output, adapter_file_size(output.path(), adapter));
  write_results(output.path(), *checkpoint, adapter, options.exported, result.best_eval_loss.has_value());
  output.drop_earlier([](const auto&) { return false; });
  return 0;
}

int dry_run(Options& options, ChosenMethod chosen, const std::vector<Field>& fields) {
  require({{"--model", &options.session.model}});
  for (const std::string& data : {options.rows.data, options.rows.eval_data}) {
    if (data.empty()) continue;
    for (const std::filesystem::path& file : data_files(data))
      check(std::filesystem::exists(file), ErrorKind::not_found, "{}: no such file", file.string());
  }
  const std::optional<LabelSet> labels = choose_labels(
      options.task, options.session.model, options.init_adapter, options.rows.data, options.rows.dataset);
  const ModelSpec spec = read_spec(options.session.model, labels);
  tell_labels(spec);
  const Adapter adapter = plan_adapter(*chosen.info, std::move(chosen.method), spec);
  check_export(options, spec, adapter);
  nlohmann::ordered_json out = {{"configuration", configuration(options, *adapter.info, fields)},
                                {"trained_parameters", parameter_count(adapter.plan)},
                                {"head_parameters", head_count(adapter.plan, spec)},
                                {"model_parameters", spec.parameters()},
                                {"multiply_adds_a_token", adapter.plan.multiply_adds},
                                {"base_multiply_adds_a_token", spec.multiply_adds()},
                                {"context_rows", adapter.plan.context_rows},
                                {"context", spec.max_positions},
                                {"state_bytes", state_bytes(parameter_count(adapter.plan))},
                                {"targets", adapter.plan.targets}};
  std::cout << json_text(out, 2) << '\n';
  tell_plan(adapter, spec);
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  Options options;
  ChosenMethod chosen;
  Arguments parser("train", "trains an adapter");
  parser.add(options.session.fields());
  parser.add(options.rows.fields("rows that are evaluated during training; the best adapter is kept"));
  parser.add(options.fields());
  parser.add(options.train.fields());
  parser.add(options.resume.fields());
  std::string init_adapter, model;
  std::optional<StartingAdapter> start;
  const auto keep = [](std::string& text) {
    return [&text](const std::string& known) {
      text = known;
      return std::vector<Field>();
    };
  };
  parser.add_later("init_adapter", keep(init_adapter));
  parser.add_later("model", keep(model));
  parser.add_later(
      "method",
      [&](const std::string& name) {
        if (!init_adapter.empty() && !model.empty()) start = read_starting_adapter(init_adapter, model);
        if (start) options.method = start->method;
        const bool own = start && (name.empty() || name == start->method);
        chosen = own ? std::move(start->chosen) : choose_method(name.empty() ? options.method : name);
        return chosen.method->fields();
      },
      all_method_options());
  if (!parser.parse(arguments)) return 0;
  if (start) check_starting_options(*start, parser.fields(), parser.given());
  return options.dry_run ? dry_run(options, std::move(chosen), parser.fields())
                         : train(options, std::move(chosen), parser.fields());
}

}  // namespace

extern const CommandInfo train_command;
const CommandInfo train_command{"train", "trains an adapter on a base model", run};

}  // namespace lowrank
