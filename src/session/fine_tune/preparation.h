#pragma once

#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "peft/files/side_by_side.h"
#include "session/fine_tune/fine_tune_options.h"
#include "session/training_data.h"
#include "train/run_plan.h"

namespace lowrank {

// The steps from options to a model that is ready to be trained, which a run and its description share, in
// their order.

/// Refuses options that contradict each other, before anything is read. Errors: invalid, unsupported; as
/// check_model_place.
void check_options(const FineTuneOptions& options);

/// Whether the run's task and rows train embeddings. Errors: as compares_texts.
bool trains_embeddings(const FineTuneOptions& options);

/// The labels that the model is opened with; none where it `compares` texts. Errors: as choose_labels.
std::optional<LabelSet> labels_of(const FineTuneOptions& options, bool compares);

/// Settles what is minimised on this model, in `options.train` and `options.rows`: how rows train embeddings
/// if it `compares` texts. Reports the labels. Errors: as comparison_of, check_unused and check_smoothing;
/// invalid and unsupported for options that embeddings have no use for.
void settle_objective(FineTuneOptions& options, bool compares, const ModelSpec& spec);

/// The adapter that the training starts from, a new one not yet initialised. Errors: as make_adapter and
/// load_told_adapter.
Adapter adapter_to_train(const FineTuneOptions& options, ChosenMethod chosen, const Checkpoint& checkpoint);

/// The values of all options, with `auto`, 0 and null replaced by what they stand for in this run.
nlohmann::json configuration(FineTuneOptions& options, const Adapter& adapter);

/// Reads the rows, labelled as the model's labels say, and shows the first of them. `early`: as
/// load_training_data. Errors: as load_training_data and check_comparison.
TrainingData rows_to_train(FineTuneOptions& options, const ModelSpec& spec, const Adapter& adapter,
                           const FineTuneCallbacks& callbacks, bool early = false);

/// Loads the weights, which refer to the adapter, and initialises it unless it was read. Errors: as
/// load_model and Method::initialise.
std::unique_ptr<Model> model_to_train(const FineTuneOptions& options,
                                      const std::shared_ptr<const Checkpoint>& checkpoint, Adapter& adapter);

/// The run's plan, which is reported with advice on the options; may recompute layers, as report_run says.
/// Errors: as report_run.
RunPlan plan_run(FineTuneOptions& options, const Model& model, const Adapter& adapter,
                 const TrainingData& data);

}  // namespace lowrank
