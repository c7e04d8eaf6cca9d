#include "session/fine_tune/fine_tune.h"

#include <filesystem>

#include <fmt/ranges.h>

#include "base/fingerprint.h"
#include "base/version.h"
#include "kernels/core/device.h"
#include "session/failures.h"
#include "session/fine_tune/base_sharing.h"
#include "session/fine_tune/preparation.h"
#include "session/fine_tune/recorded_run.h"
#include "session/ranks/same_inputs.h"
#include "session/run_report.h"
#include "session/training_results.h"
#include "train/output_folder.h"
#include "train/run.h"
#include "train/run_identity.h"

namespace lowrank {
namespace {

/// Refuses what is missing among the options, what contradicts each other, and rows where the output goes.
void check_given(const FineTuneOptions& options) {
  const std::string data_given = fmt::format("{}", fmt::join(options.rows.data, ""));
  need_options({{"model", &options.session.model}, {"data", &data_given}, {"output", &options.output}});
  check_options(options);
  for (const std::string& pattern : options.rows.patterns()) check_apart(pattern, options.output);
}

/// Before any row is read.
void check_device(const FineTuneOptions& options) {
  const std::string& name = options.session.device;
  if (device_named(name).is_cpu()) return;
  check(options.train.memory_limit == 0, ErrorKind::unsupported,
        "`memory_limit` is for memory of the CPU, not of `device` {}", name);
  check(!options.train.profile, ErrorKind::unsupported,
        "`profile` measures operations of the CPU, not those of `device` {}", name);
}

RunFiles files_of(const FineTuneOptions& options) {
  std::vector<std::string> read = options.rows.patterns();
  read.insert(read.end(), {options.rows.eval_data, options.samples.data});
  return {options.output,  options.session.model, options.init_adapter,
          std::move(read), options.overwrite,     options.resume.resume};
}

/// Whether the first steps need not wait for all rows: the run's length does not depend on how many are
/// examples, nor the order on anything in them.
bool may_begin_early(const FineTuneOptions& options, const std::filesystem::path& resumed) {
  const TrainOptions& train = options.train;
  return train.steps && !train.group_prompts && !train.tokens_per_batch && resumed.empty() && !train.ranks;
}

std::string fingerprint_of(const std::string& text) {
  Fingerprint fingerprint;
  fingerprint.add(text);
  return fingerprint.text();
}

/// What the run's numbers depend on, beside the inputs. `recomputes`: layers are recomputed whatever the
/// memory; where the limit alone asks for it, the run may go on without, or on a process that does not need
/// it.
nlohmann::json decisive_values(const nlohmann::json& configured, bool recomputes,
                               const std::string& chat_template, const std::optional<RankGroup>& ranks) {
  nlohmann::json decisive = decisive_options(configured);
  decisive["gradient_checkpointing"] = recomputes;
  if (!chat_template.empty()) decisive["the chat template"] = fingerprint_of(chat_template);
  if (ranks) decisive[processes_key] = ranks->size();
  return decisive;
}

/// The training of a rank that leaves nothing.
RunResult follow(const Model& model, Adapter& adapter, const TrainingData& data, const TrainOptions& options,
                 const std::filesystem::path& resumed) {
  RunResult result =
      run_training(model, adapter, data.examples, data.evaluation.examples, options, {{}, {}, resumed});
  options.ranks->leave();
  return result;
}

}  // namespace

RunResult fine_tune(FineTuneOptions options, ChosenMethod chosen, const FineTuneCallbacks& callbacks) {
  check_given(options);
  check_device(options);
  const std::optional<RankGroup> ranks = options.train.ranks;
  if (ranks) {
    check_all_or_none(*ranks, options.shard_base, "shard_base");
    check_all_or_none(*ranks, !options.rows.eval_data.empty(), "eval_data");
  }
  const bool leads = !ranks || ranks->leads();
  std::optional<OutputFolder> folder;  // of the rank that writes
  if (leads) folder.emplace(files_of(options));
  const std::filesystem::path resumed = from_first(ranks, leads ? folder->resumed().string() : "");

  const bool compares = trains_embeddings(options);
  const auto checkpoint = open_model(options.session, labels_of(options, compares));
  const ModelSpec& spec = checkpoint->spec();
  settle_objective(options, compares, spec);
  Adapter adapter = adapter_to_train(options, std::move(chosen), *checkpoint);
  check_export(options.exported, options.session.model, spec, adapter);
  check_results(*checkpoint, adapter, options.exported);
  report_plan(adapter, spec);

  if (options.rows.chat.chat_date.empty())
    options.rows.chat.chat_date = from_first(ranks, leads ? chat_date_of(resumed) : "");
  TrainingData data = rows_to_train(options, spec, adapter, callbacks, may_begin_early(options, resumed));
  std::optional<RunSamples> samples =
      plan_samples(options.samples, options.rows, options.session.model, options.init_adapter, spec, data);
  const std::unique_ptr<Model> model = model_to_train(options, checkpoint, adapter);
  const bool recomputes = options.train.gradient_checkpointing;
  const RunPlan plan = plan_run(options, *model, adapter, data);

  const nlohmann::json configured = configuration(options, adapter);
  const std::string chat_template = data.train.chat_template;
  RunIdentity identity({*checkpoint, adapter, data.examples, data.evaluation.examples, plan,
                        decisive_values(configured, recomputes, chat_template, ranks),
                        std::string(program_version())});
  if (ranks) check_same_inputs(*ranks, identity.known(), *checkpoint);
  if (!leads) return follow(*model, adapter, data, options.train, resumed);
  return recorded_run({options, configured, *checkpoint, *model, adapter, data, samples ? &*samples : nullptr,
                       plan, chat_template, resumed},
                      identity, *folder, callbacks);
}

}  // namespace lowrank
