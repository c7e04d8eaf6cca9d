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

/// Reads the rows for a model, labelled where `dataset.labels` says so, and tells their numbers. A method
/// takes `context_rows` of the model's context. `seed`: of the split. Errors: as load_dataset and
/// split_dataset; invalid for evaluation rows from two places, or a context without room.
TrainingData load_training_data(const TrainingDataOptions& options, const std::string& model,
                                const ModelSpec& spec, int64_t context_rows, uint64_t seed);

}  // namespace lowrank
