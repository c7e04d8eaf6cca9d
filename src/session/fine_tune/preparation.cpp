#include "session/fine_tune/preparation.h"

#include <algorithm>

#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/log.h"
#include "session/embedding/embedding_run.h"
#include "session/fine_tune/base_sharing.h"
#include "session/places.h"
#include "session/run_report.h"
#include "session/run_warnings.h"
#include "session/task.h"

namespace lowrank {
namespace {

/// Settles how rows train embeddings, if they do.
void set_comparison(FineTuneOptions& options, bool compares, const ModelSpec& spec) {
  if (!compares) return check_unused(options.embedding);
  check(options.samples.every == 0, ErrorKind::invalid,
        "`sample_every` is for runs whose model generates text, not for embeddings");
  options.train.contrastive = comparison_of(options.embedding, options.session.model, spec,
                                            options.rows.patterns(), options.rows.dataset);
}

void show_rows(const FineTuneOptions& options, const TrainingData& data, const FineTuneCallbacks& callbacks) {
  const auto shown = std::min<int64_t>(options.rows.show_rows, std::ssize(data.train.examples));
  if (shown == 0 || !callbacks.show_row) return;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(options.session.model);
  for (int64_t row = 0; row < shown; ++row)
    callbacks.show_row(data.train.examples[row], tokenizer ? &*tokenizer : nullptr, data.train.in_array);
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

}  // namespace

void check_options(const FineTuneOptions& options) {
  options.train.check_batches();
  check_evaluated(options.train, !options.rows.eval_data.empty() || options.rows.eval_split > 0);
  check_model_place(options.session.model);
}

bool trains_embeddings(const FineTuneOptions& options) {
  return compares_texts(options.task, options.rows.patterns(), options.rows.dataset);
}

std::optional<LabelSet> labels_of(const FineTuneOptions& options, bool compares) {
  if (compares) return std::nullopt;
  return choose_labels(options.task, options.session.model, options.init_adapter, options.rows.patterns(),
                       options.rows.dataset);
}

void settle_objective(FineTuneOptions& options, bool compares, const ModelSpec& spec) {
  set_comparison(options, compares, spec);
  options.train.check_smoothing(spec);
  report_labels(spec);
}

Adapter adapter_to_train(const FineTuneOptions& options, ChosenMethod chosen, const Checkpoint& checkpoint) {
  return options.init_adapter.empty() ? make_adapter(*chosen.info, std::move(chosen.method), checkpoint)
                                      : load_told_adapter(options.init_adapter, checkpoint);
}

nlohmann::json configuration(FineTuneOptions& options, const Adapter& adapter) {
  nlohmann::json values = resolved(options.fields());
  values.update(resolved(adapter.method->fields()));
  values["lr"] = options.train.lr.value_or(adapter.info->default_learning_rate);
  values["dtype"] = load_options(options.session).compute == at::kBFloat16 ? "bf16" : "f32";
  // Which GPU it is does not matter to a run that is resumed.
  if (!load_options(options.session).device.is_cpu()) values["device"] = "cuda";
  values["threads"] = options.session.threads > 0 ? options.session.threads : at::get_num_threads();
  return values;
}

TrainingData rows_to_train(FineTuneOptions& options, const ModelSpec& spec, const Adapter& adapter,
                           const FineTuneCallbacks& callbacks, bool early) {
  options.rows.dataset.labels = spec.labels;
  const auto seed = static_cast<uint64_t>(options.train.seed);
  TrainingData data = load_training_data(options.rows, options.session.model, options.init_adapter, spec,
                                         adapter.plan.context_rows, seed, early, options.train.ranks);
  if (options.train.contrastive) check_comparison(options.train, data.train.examples);
  show_rows(options, data, callbacks);
  return data;
}

std::unique_ptr<Model> model_to_train(const FineTuneOptions& options,
                                      const std::shared_ptr<const Checkpoint>& checkpoint, Adapter& adapter) {
  std::function<RowSource(const TensorRef&)> rows_elsewhere;
  if (options.shard_base && options.train.ranks)
    rows_elsewhere = rows_of_shared_base(checkpoint, uses_of(adapter.plan), *options.train.ranks);
  std::unique_ptr<Model> model =
      load_model(checkpoint, options.session, &adapter.plan, true, std::move(rows_elsewhere));
  if (options.init_adapter.empty())
    adapter.method->initialise(*checkpoint, static_cast<uint64_t>(options.train.seed));
  move_adapter(adapter, load_options(options.session).device);
  return model;
}

RunPlan plan_run(FineTuneOptions& options, const Model& model, const Adapter& adapter,
                 const TrainingData& data) {
  const bool shared = options.shard_base && options.train.ranks;
  RunPlan plan = report_run(model, adapter, data.examples, options.train, load_options(options.session),
                            shared ? shared_bytes(*adapter.base, uses_of(adapter.plan)) : 0);
  give_advice(options, adapter, plan, data);
  return plan;
}

}  // namespace lowrank
