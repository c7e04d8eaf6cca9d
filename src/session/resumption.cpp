#include "session/resumption.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "session/chat_options.h"
#include "train/output_folder.h"
#include "train/records/run_records.h"
#include "train/run_identity.h"
#include "train/state.h"

namespace lowrank {
namespace {

std::string counted_processes(int64_t count) {
  return count == 1 ? "one process" : fmt::format("{} processes", count);
}

/// Says so if the run that left the checkpoint was finished: steps are then done again.
void report_finished(const std::filesystem::path& checkpoint, int64_t step) {
  constexpr int64_t most_bytes = 256 << 20;
  const std::filesystem::path run = without_slash(checkpoint).parent_path();
  try {
    if (!std::filesystem::exists(run / trainer_state_name)) return;
    const nlohmann::json state = read_json_file(run / trainer_state_name, most_bytes);
    const auto last = state.at("global_step").get<int64_t>();
    if (last > step && last == state.at("max_steps").get<int64_t>())
      info("{}: the run was finished after step {}; its steps from {} are done again", checkpoint.string(),
           last, step + 1);
  } catch (const std::exception&) {
    return;  // the run writes its records anew
  }
}

int64_t processes_of(const nlohmann::json& identity) {
  return identity.value(processes_key, int64_t{1});
}

/// A run may go on with another number of processes: the order of rows is the same. Says so, and takes their
/// number and threads for equal.
void allow_other_processes(const std::filesystem::path& checkpoint, nlohmann::json& saved,
                           const nlohmann::json& now) {
  const int64_t were = processes_of(saved), are = processes_of(now);
  if (were == are) return;
  warn(
      "{}: was written by {} and goes on with {}: the order of the rows is the same, but sums are rounded "
      "otherwise, so the bits are not those of an uninterrupted run",
      checkpoint.string(), counted_processes(were), counted_processes(are));
  for (const char* name : {processes_key, "threads"}) {
    saved.erase(name);
    if (now.contains(name)) saved[name] = now[name];
  }
}

}  // namespace

std::vector<Field> ResumeOptions::fields() {
  return {
      optional_text(field("resume", resume,
                          "continue from a checkpoint of this run, to the same bits: its folder, or without "
                          "a value the newest complete one in `output`; give the other options again"),
                    newest_resumed),
      field("resume_anyway", anyway,
            "continue even though rows, base, options, threads or processor differ (a warning lists what "
            "differs)")};
}

nlohmann::json decisive_options(const nlohmann::json& values) {
  nlohmann::json decisive = values;
  for (const char* name : {"on_long",      "train_on",     "chat_template", "chat_template_kwargs",
                           "show_rows",    "cache",        "model",         "data",
                           "eval_data",    "eval_split",   "format",        "columns",
                           "max_length",   "init_adapter", "output",        "overwrite",
                           "export",       "epochs",       "steps",         "threads",
                           "save_every",   "keep",         "log_every",     "early_stop",
                           "sample_every", "sample_data",  "report_to",     "profile",
                           "memory_limit", "resume",       "resume_anyway"})
    decisive.erase(name);
  // Runs that do not count tokens are as those of versions without the option.
  if (decisive.value("tokens_per_batch", nlohmann::json()).is_null()) decisive.erase("tokens_per_batch");
  return decisive;
}

std::string chat_date_of(const std::filesystem::path& checkpoint) {
  if (checkpoint.empty()) return today();
  const nlohmann::json date =
      read_state_head(checkpoint / state_name).identity.value("chat_date", nlohmann::json());
  return date.is_string() ? date.get<std::string>() : today();
}

int64_t report_resumed(const std::filesystem::path& checkpoint, RunIdentity& identity, bool anyway) {
  if (checkpoint.empty()) return 0;
  StateHead saved = read_state_head(checkpoint / state_name);
  allow_other_processes(checkpoint, saved.identity, identity.known());
  const std::vector<std::string> differences = identity_differences(saved.identity, identity.whole());
  if (!differences.empty()) {
    const std::string told = fmt::format("{}: the checkpoint is of a run with other settings or data: {}",
                                         checkpoint.string(), fmt::join(differences, "; "));
    if (!anyway)
      throw Error(
          ErrorKind::invalid, told,
          "give the settings and rows of that run, or `resume_anyway` to continue with these; the losses and "
          "the adapter are then not those of an uninterrupted run");
    warn("{}", told);
  }
  if (!knows_rows(saved.identity))
    warn("{}: was written before all rows were read, so whether they are the same is not known",
         checkpoint.string());
  info("{}: the run goes on after step {}", checkpoint.string(), saved.step);
  report_finished(checkpoint, saved.step);
  return saved.step;
}

}  // namespace lowrank
