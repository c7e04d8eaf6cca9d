#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "data/dataset.h"
#include "data/early/early_dataset.h"
#include "data/order/weighted_data.h"
#include "data/order/weighted_examples.h"
#include "model/spec.h"
#include "session/chat_options.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// Which rows a command trains on and which it evaluates on.
struct TrainingDataOptions {
  std::vector<std::string> data;  ///< files, perhaps with weights: as weighted_data takes them
  std::string eval_data;
  double eval_split = 0;
  DatasetOptions dataset;  ///< its `on_long` and `train_on` follow from the next two
  std::string on_long = "truncate",
              train_on = "assistant";  ///< as on_long_named and train_on_named take them
  ChatOptions chat;                    ///< for rows that are conversations
  std::string cache;                   ///< folder for tokenised rows; empty: the user's; "none"
  int64_t show_rows = 0;               ///< how many training rows are shown before the run

  /// Fields that point into this value; `evaluation_help` is the help text of `eval_data`.
  std::vector<Field> fields(const std::string& evaluation_help);

  /// What `data` names, without weights. Errors: as weighted_data.
  std::vector<std::string> patterns() const { return patterns_of(data); }
};

struct TrainingData {
  Dataset train, evaluation;  ///< the latter is empty if none is asked for
  WeightedExamples examples;  ///< of `train`
  /// Set while the training rows are still being read: `train` then has only the first few.
  std::shared_ptr<EarlyDataset> early = nullptr;
  std::function<void(const Dataset&)> report = nullptr;  ///< of the training rows

  /// Takes training rows over that were still being read, and reports them, once all are there; `wait` waits
  /// for that. Returns whether it was done now. Errors: those of reading; interrupted.
  bool take_early(bool wait);
};

/// Refuses an output folder whose files the next run would read as rows: `data` names it, or files in it by a
/// pattern. Errors: invalid.
void check_apart(const std::string& data, const std::string& output);

/// Reports how many rows and tokens a command has, how many rows and tokens the limit of `max_length` leaves
/// out, and likely mistakes in the rows. `limit` says where the limit comes from.
void report_rows(const std::string& what, const Dataset& dataset, int64_t max_length,
                 const std::string& limit);

/// Reads the rows for a model, labelled if `dataset.labels` is set, and reports their numbers. `adapter` is
/// the one that training starts from; empty: none. A method takes `context_rows` of the model's context.
/// `seed`: of the split. `early`: where rows can be read one by one, the result is there before all were
/// read; their errors and reports then come later. `ranks` read rows once per machine. Errors: as
/// load_dataset and split_dataset; invalid for evaluation rows from two sources, or a context without room.
TrainingData load_training_data(const TrainingDataOptions& options, const std::string& model,
                                const std::string& adapter, const ModelSpec& spec, int64_t context_rows,
                                uint64_t seed, bool early = false,
                                const std::optional<RankGroup>& ranks = std::nullopt);

}  // namespace lowrank
