#pragma once

#include <cstdint>
#include <string>

#include "base/fields.h"
#include "model/spec.h"
#include "text/dataset.h"

namespace lowrank {

/// Which rows a command trains on and which it evaluates on.
struct TrainingDataOptions {
  std::string data, eval_data;
  double eval_split = 0;
  DatasetOptions dataset;

  /// Fields that point into this value; the help of --eval-data.
  std::vector<Field> fields(const std::string& evaluation_help);
};

struct TrainingData {
  Dataset train, evaluation;  ///< the latter without examples where nothing asks for it
};

/// Refuses an output folder whose files would be read as rows the next time: --data names it, or files in it
/// by a pattern. Errors: invalid.
void check_apart(const std::string& data, const std::string& output);

/// Says how many rows and tokens a command has, how many tokens a limit of `max_length` loses, and what of
/// the rows is likely a mistake. `limit` names where the limit comes from.
void tell_rows(const std::string& what, const Dataset& dataset, int64_t max_length, const std::string& limit);

/// Reads the rows for a model, labelled where `dataset.labels` says so, and tells their numbers. A method
/// takes `context_rows` of the model's context. `seed`: of the split. Errors: as load_dataset and
/// split_dataset; invalid for evaluation rows from two places, or a context without room.
TrainingData load_training_data(const TrainingDataOptions& options, const std::string& model,
                                const ModelSpec& spec, int64_t context_rows, uint64_t seed);

}  // namespace lowrank
