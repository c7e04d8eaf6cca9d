#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "data/dataset.h"
#include "session/chat_options.h"
#include "session/session.h"
#include "train/contrastive/contrastive_options.h"
#include "train/evaluate.h"

namespace lowrank {

/// Rows to evaluate on.
struct EvaluateOptions {
  std::string data;
  DatasetOptions dataset;  ///< format, columns and length; the rest follows from the model
  ChatOptions chat;        ///< for rows that are conversations
  int64_t batch_size = 8;
  ContrastiveOptions embedding;  ///< for rows of texts that are compared
  std::string cache;             ///< folder for tokenised rows; empty: they are kept in memory

  std::vector<Field> fields();
};

/// Reads the rows for the model of this path and evaluates on them, with warnings about rows that are cut or
/// left out. Errors: as load_dataset and evaluate; invalid for an encoder without a label head
/// (unless texts are compared), and for a
/// loss without a finite perplexity.
Evaluation evaluate_rows(const RunningModel& running, const std::string& model,
                         const EvaluateOptions& options);

}  // namespace lowrank
