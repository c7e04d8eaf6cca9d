#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "session/resumption.h"
#include "session/run_samples.h"
#include "session/session.h"
#include "session/training_data.h"
#include "train/evaluate.h"
#include "train/options.h"
#include "train/trainer.h"

namespace lowrank {

/// A training run from files to files.
struct FineTuneOptions {
  SessionOptions session;
  TrainingDataOptions rows;
  TrainOptions train;
  ResumeOptions resume;
  SampleOptions samples;
  ContrastiveOptions embedding;  ///< where rows train embeddings
  std::string method = "lora";
  std::string task = "auto";  ///< see `choose_labels`
  std::string output;         ///< folder
  std::string init_adapter;   ///< folder or GGUF LoRA to start from; empty: none
  std::string exported = "none";
  bool overwrite = false;
  /// The base's layers are shared out over `train.ranks` (SharedBase). Not among the fields: it is for
  /// programs that start ranks, and changes no numbers.
  bool shard_base = false;

  /// The options of the run itself, and of all parts, without the method's own, as fields that point into
  /// this value.
  std::vector<Field> run_fields();
  std::vector<Field> fields();
  static constexpr const char* evaluation_help =
      "rows to evaluate on during training; the best adapter is kept";
};

/// What a caller may follow while a run goes on; any may be empty.
struct FineTuneCallbacks {
  /// Each of the first `show_rows` training rows as it is learned; without tokenizer for tokenised rows.
  /// `in_array`: as in shown_example.
  std::function<void(const Example&, const Tokenizer*, bool in_array)> show_row;
  std::function<void(int64_t first_step, int64_t total_steps)> start;  ///< right before the first step
  std::function<void(const StepResult&)> after_step;
  std::function<void(int64_t step, const Evaluation&)> after_evaluation;
  std::function<void(const std::string&)> profile_line;  ///< once per line of the profile, at the end
};

}  // namespace lowrank
