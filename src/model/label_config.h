#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include "data/labels.h"
#include "model/spec.h"

namespace lowrank {

/// The labels that a configuration describes, as in Hugging Face's classifiers (`id2label`, `problem_type`):
/// values for one label or problem_type `regression`, two classes without any labels; nothing unless
/// `architectures` names a ...ForSequenceClassification. Errors: invalid, the key named.
std::optional<LabelSet> labels_of(const nlohmann::json& config);

/// What an encoder with a head for these labels predicts, or without one.
Task task_of(const std::optional<LabelSet>& labels);

/// Turns a configuration into that of a classifier for these labels. `architecture`: the class name.
void set_labels(nlohmann::json& config, const LabelSet& labels, std::string_view architecture);

/// The keys `id2label`, `label2id` and `problem_type` alone, and back. Errors: as labels_of.
nlohmann::json label_keys(const LabelSet& labels);
LabelSet labels_from_keys(const nlohmann::json& keys);

}  // namespace lowrank
