#include "session/fine_tune/describe_fine_tune.h"

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/progress.h"
#include "data/rows/data_files.h"
#include "session/failures.h"
#include "session/fine_tune/preparation.h"
#include "session/run_report.h"
#include "session/training_results.h"
#include "train/trial_steps.h"

namespace lowrank {
namespace {

/// Refuses rows that are not there.
void check_files(const FineTuneOptions& options) {
  std::vector<std::string> read = options.rows.patterns();
  read.push_back(options.rows.eval_data);
  for (const std::string& data : read) {
    if (data.empty()) continue;
    for (const std::filesystem::path& file : data_files(data))
      check(std::filesystem::exists(file), ErrorKind::not_found, "{}: no such file", file.string());
  }
}

/// What the rows and a few steps of the run tell; the adapter is trained by them.
nlohmann::ordered_json cost_of(FineTuneOptions& options, Adapter& adapter,
                               const std::shared_ptr<const Checkpoint>& checkpoint,
                               const FineTuneCallbacks& callbacks) {
  const TrainingData data = rows_to_train(options, checkpoint->spec(), adapter, callbacks);
  const std::unique_ptr<Model> model = model_to_train(options, checkpoint, adapter);
  const RunPlan plan = plan_run(options, *model, adapter, data);
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

nlohmann::ordered_json describe_fine_tune(FineTuneOptions options, ChosenMethod chosen,
                                          const FineTuneCallbacks& callbacks) {
  need_options({{"model", &options.session.model}});
  check_options(options);
  check_files(options);
  const bool has_rows = !options.rows.data.empty();
  const bool compares = trains_embeddings(options);
  const auto checkpoint = has_rows ? open_model(options.session, labels_of(options, compares)) : nullptr;
  const ModelSpec spec =
      checkpoint ? checkpoint->spec() : read_spec(options.session.model, labels_of(options, compares));
  settle_objective(options, compares, spec);
  Adapter adapter = checkpoint ? adapter_to_train(options, std::move(chosen), *checkpoint)
                               : plan_adapter(*chosen.info, std::move(chosen.method), spec);
  check_export(options.exported, options.session.model, spec, adapter);
  report_plan(adapter, spec);
  nlohmann::ordered_json run;  // settles what the configuration leaves open
  if (checkpoint) run = cost_of(options, adapter, checkpoint, callbacks);
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
  if (checkpoint) description["run"] = std::move(run);
  return description;
}

}  // namespace lowrank
