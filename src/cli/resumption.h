#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "train/run_identity.h"

namespace lowrank {

/// How a run goes on from a checkpoint of an earlier one.
struct ResumeOptions {
  std::string resume;   ///< a checkpoint's folder, or `newest_resumed`; empty: the run starts
  bool anyway = false;  ///< --resume-anyway

  /// Fields that point into this value.
  std::vector<Field> fields();
};

/// Of the values of all options those that a run's numbers depend on, beside what its identity holds of them
/// (train/run_identity.h): its files' contents, the number of its steps and of its threads.
nlohmann::json decisive_options(const nlohmann::json& values);

/// The program's version.
std::string program_version();

/// Tells from where a run goes on, and what differs between it and the one that left the checkpoint; gives
/// the steps that are done, 0 without a checkpoint. Errors: invalid where something differs, unless `anyway`;
/// as read_state.
int64_t tell_resumed(const std::filesystem::path& checkpoint, RunIdentity& identity, bool anyway);

}  // namespace lowrank
