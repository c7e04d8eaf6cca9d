#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "session/fine_tune/fine_tune_options.h"
#include "session/run_samples.h"
#include "session/training_data.h"
#include "train/output_folder.h"
#include "train/run_identity.h"
#include "train/run_plan.h"
#include "train/state.h"

namespace lowrank {

/// A run that is ready for its first step. What it refers to must outlive it.
struct ReadyRun {
  const FineTuneOptions& options;
  const nlohmann::json& configuration;  ///< as `configuration` gives it
  const Checkpoint& base;
  const Model& model;
  Adapter& adapter;
  TrainingData& data;
  RunSamples* samples;  ///< null: none
  const RunPlan& plan;
  std::string chat_template;      ///< of rows that are conversations; empty: none
  std::filesystem::path resumed;  ///< the checkpoint that it goes on from; empty: a new run
};

/// Trains on the rank that writes: keeps the run's page up to date, and leaves the adapter, its model card
/// and what else is asked for in `output`, whose earlier results go when the new ones are there. Errors: as
/// run_training and report_resumed; corrupt if the base's files changed meanwhile; io.
RunResult recorded_run(const ReadyRun& run, RunIdentity& identity, OutputFolder& output,
                       const FineTuneCallbacks& callbacks);

}  // namespace lowrank
