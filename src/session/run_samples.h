#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "session/training_data.h"
#include "tokenizer/tokenizer.h"
#include "train/records/metrics_file.h"

namespace lowrank {

/// What the model is asked to continue while it trains.
struct SampleOptions {
  int64_t every = 0;  ///< `sample_every`: steps; 0: never
  std::string data;   ///< `sample_data`: rows with prompts; empty: from the run's own rows

  /// Fields that point into this value.
  std::vector<Field> fields();
};

/// Prompts with what their rows have after them.
struct SamplePrompts {
  std::vector<std::vector<int64_t>> ids;
  std::vector<std::string> prompts, references;
  std::vector<int64_t> end_tokens = {};  ///< that end an answer beside the tokenizer's
};

/// The generations of a run: shown, and kept in samples.jsonl, one object per prompt and time.
class RunSamples {
 public:
  RunSamples(Tokenizer tokenizer, SamplePrompts prompts);

  /// Where samples.jsonl goes; `resumed`: the checkpoint that the run goes on from, if any. The samples of
  /// its run are kept as far as they hold.
  void set_folder(const std::filesystem::path& folder, const std::filesystem::path& resumed);

  /// Continues each prompt with the most likely tokens, at most 64. Nothing that training depends on changes.
  /// Errors: as generate; io.
  void make(const Model& model, const Adapter& adapter, int64_t step);

 private:
  Tokenizer tokenizer_;
  SamplePrompts prompts_;
  std::filesystem::path folder_, earlier_;
  std::optional<MetricsFile> file_;
};

/// Samples with the prompts of `options.data` (its first sixteen), or of the first three evaluation rows, or
/// without those training rows; of rows that are learned whole, the first tokens. `format`: how the rows of
/// `options.data` are read. `model` and `adapter`: their paths, the latter that of the one that
/// training starts from, or empty. nullopt if none are asked for. Errors: as read_rows; invalid
/// for rows without a prompt; unsupported for an encoder, or a model without a tokenizer.
std::optional<RunSamples> plan_samples(const SampleOptions& options, const TrainingDataOptions& format,
                                       const std::string& model, const std::string& adapter,
                                       const ModelSpec& spec, const TrainingData& data);

}  // namespace lowrank
