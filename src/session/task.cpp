#include "session/task.h"

#include "base/error.h"
#include "model/checkpoint.h"
#include "peft/files/adapter_labels.h"

namespace lowrank {

Labelling labelling_of(const std::string& task) {
  return task == "auto"             ? Labelling::automatic
         : task == "classification" ? Labelling::classes
                                    : Labelling::values;
}

std::optional<LabelSet> choose_labels(const std::string& task, const std::string& model,
                                      const std::string& init_adapter, std::span<const std::string> data,
                                      const DatasetOptions& dataset) {
  const ModelSpec spec = read_spec(model);
  if (spec.task == Task::causal_lm) {
    check(task == "auto", ErrorKind::invalid,
          "`task` {} is for encoders such as BERT; {} is a causal language model", task, model);
    return std::nullopt;
  }
  if (task == "auto") {
    if (!init_adapter.empty()) {
      if (std::optional<LabelSet> labels = read_adapter_labels(init_adapter)) return labels;
    }
    if (spec.labels) return spec.labels;
  }
  if (data.empty()) return task == "regression" ? LabelSet() : LabelSet{{"LABEL_0", "LABEL_1"}};
  return read_labels(data, dataset.columns, labelling_of(task));
}

}  // namespace lowrank
