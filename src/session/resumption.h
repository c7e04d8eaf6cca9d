#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "train/run_identity.h"

namespace lowrank {

/// The key of a run's identity for its number of processes, if these are several.
inline constexpr const char* processes_key = "processes";

/// Options for resuming from a checkpoint of an earlier run.
struct ResumeOptions {
  std::string resume;   ///< a checkpoint folder, or `newest_resumed`; empty: a new run
  bool anyway = false;  ///< `resume_anyway`

  /// Fields that point into this value.
  std::vector<Field> fields();
};

/// From the values of all options, those that a run's numbers depend on, except what its identity holds
/// anyway (train/run_identity.h): contents of its files, numbers of steps and threads.
nlohmann::json decisive_options(const nlohmann::json& values);

/// The date that chat templates show in a run: that of the run whose checkpoint it resumes, else today's.
/// Errors: as read_state_head.
std::string chat_date_of(const std::filesystem::path& checkpoint);

/// Reports where a run resumes and how it differs from the run that left the checkpoint; returns the number
/// of steps already done, 0 without a checkpoint. Errors: invalid if something differs, unless `anyway`; as
/// read_state.
int64_t report_resumed(const std::filesystem::path& checkpoint, RunIdentity& identity, bool anyway);

}  // namespace lowrank
