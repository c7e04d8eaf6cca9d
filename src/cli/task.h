#pragma once

#include <optional>
#include <string>

#include "text/dataset.h"
#include "text/labels.h"

namespace lowrank {

/// Help of --task.
inline constexpr const char* task_help =
    "of an encoder's labels: classification, regression; auto: regression where one is a fraction";

/// What the value of --task takes labels for.
Labelling labelling_of(const std::string& task);

/// The labels that a run on this model is for: none for a causal language model; those of the adapter that it
/// starts from, of the model's own label head, or of the rows (`data`, may be empty: two classes), the first
/// that is there; `task` other than `auto` goes by the rows. Errors: as read_spec and read_labels; invalid
/// for a task that the model is not for.
std::optional<LabelSet> choose_labels(const std::string& task, const std::string& model,
                                      const std::string& init_adapter, const std::string& data,
                                      const DatasetOptions& dataset);

}  // namespace lowrank
