#pragma once

#include <span>
#include <string>

#include "data/dataset.h"
#include "model/spec.h"
#include "train/options.h"

namespace lowrank {

/// Whether rows train embeddings or are evaluated by them: `task` is `embedding`, or `auto` and the format
/// that is named or that the first row decides on has texts that are compared.
bool compares_texts(const std::string& task, std::span<const std::string> patterns,
                    const DatasetOptions& rows);

/// What is minimised on such rows of a model, and how they are read, which is set in `rows`: their format,
/// prompts, and the longest text that the model's files name. Errors: as embedding_form and contrastive_run;
/// invalid for a model with a label head; unsupported for one whose files ask for lower-cased texts.
ContrastiveRun comparison_of(const ContrastiveOptions& options, const std::string& model,
                             const ModelSpec& spec, std::span<const std::string> patterns,
                             DatasetOptions& rows);

/// Refuses runs in whose batches there is nothing to compare, and options that texts that are compared have
/// no use for. Errors: invalid.
void check_comparison(const TrainOptions& options, const ExampleStore& examples);

/// Refuses options of embeddings where none are trained. Errors: invalid, naming them.
void check_unused(const ContrastiveOptions& options);

}  // namespace lowrank
