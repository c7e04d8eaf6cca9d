#include "model/label_config.h"

#include <charconv>

#include "base/error.h"
#include "model/config_reader.h"

namespace lowrank {
namespace {

constexpr const char* values_name = "regression";
constexpr const char* classes_name = "single_label_classification";
constexpr const char* several_name = "multi_label_classification";

/// The name of each class: `{"0": "negative", "1": "positive"}`.
std::vector<std::string> names_in(const nlohmann::json& id2label) {
  std::vector<std::string> names(id2label.size());
  for (const auto& [id, name] : id2label.items()) {
    size_t number = names.size();
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    const bool holds = error == std::errc() && end == id.data() + id.size() && number < names.size() &&
                       name.is_string() && names[number].empty();
    check(holds, ErrorKind::invalid, "config: id2label must name the classes 0, 1, …, not '{}'", id);
    names[number] = name.get<std::string>();
  }
  return names;
}

}  // namespace

LabelSet labels_from_keys(const nlohmann::json& keys) {
  const ConfigReader read(keys);
  const std::string problem = read.text("problem_type", "");
  read.require(
      problem.empty() || problem == values_name || problem == classes_name || problem == several_name,
      "problem_type", "must be single_label_classification, multi_label_classification or regression");
  if (problem == values_name) return {};
  const bool several = problem == several_name;
  if (!read.has("id2label")) return {{"LABEL_0", "LABEL_1"}, several};
  read.require(keys["id2label"].is_object(), "id2label", "must be an object");
  LabelSet labels{names_in(keys["id2label"]), several};
  const bool one_value = labels.names.size() == 1 && problem.empty();
  return one_value ? LabelSet{} : labels;
}

std::optional<LabelSet> labels_of(const nlohmann::json& config) {
  const std::vector<std::string> architectures = ConfigReader(config).texts("architectures");
  if (architectures.empty() || !architectures.front().ends_with("ForSequenceClassification"))
    return std::nullopt;
  return labels_from_keys(config);
}

nlohmann::json label_keys(const LabelSet& labels) {
  const std::vector<std::string> names =
      labels.has_classes() ? labels.names : std::vector<std::string>{"LABEL_0"};
  const char* problem = labels.several ? several_name : labels.has_classes() ? classes_name : values_name;
  nlohmann::json keys = {{"problem_type", problem}};
  for (size_t i = 0; i < names.size(); ++i) {
    keys["id2label"][std::to_string(i)] = names[i];
    keys["label2id"][names[i]] = i;
  }
  return keys;
}

Task task_of(const std::optional<LabelSet>& labels) {
  if (!labels) return Task::embedding;
  return labels->has_classes() ? Task::classification : Task::regression;
}

void set_labels(nlohmann::json& config, const LabelSet& labels, std::string_view architecture) {
  config.update(label_keys(labels));
  config["architectures"] = {architecture};
}

}  // namespace lowrank
