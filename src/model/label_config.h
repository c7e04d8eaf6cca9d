#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include "text/labels.h"

namespace lowrank {

/// The labels that a configuration describes as Hugging Face's classifiers have them (`id2label`,
/// `problem_type`; one label, or problem_type `regression`: values; without any two classes); nothing where
/// `architectures` names no ...ForSequenceClassification. Errors: invalid, the key named; unsupported for
/// multi_label_classification.
std::optional<LabelSet> labels_of(const nlohmann::json& config);

/// Makes a configuration that of a classifier for these labels. `architecture`: the class's name.
void set_labels(nlohmann::json& config, const LabelSet& labels, std::string_view architecture);

/// The keys `id2label`, `label2id` and `problem_type` alone, and back. Errors: as labels_of.
nlohmann::json label_keys(const LabelSet& labels);
LabelSet labels_from_keys(const nlohmann::json& keys);

}  // namespace lowrank
