#pragma once

#include <optional>
#include <span>
#include <string>

#include "data/dataset.h"
#include "data/labels.h"

namespace lowrank {

/// Help text of `task`.
inline constexpr const char* task_help =
    "what an encoder's labels are: classification, regression; auto: regression if one is a fraction";

/// How the value of `task` interprets labels.
Labelling labelling_of(const std::string& task);

/// The labels of a run on this model: nullopt for a causal language model; otherwise the first available of
/// those of the adapter that it starts from, of the model's own label head, and of the rows (`data`; if
/// empty, two classes). With a `task` other than `auto`, those of the rows (if `data` is empty, two classes
/// or values). Errors: as read_spec and read_labels; invalid for a task that does not fit the model.
std::optional<LabelSet> choose_labels(const std::string& task, const std::string& model,
                                      const std::string& init_adapter, std::span<const std::string> data,
                                      const DatasetOptions& dataset);

}  // namespace lowrank
