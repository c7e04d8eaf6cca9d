#include "peft/files/adapter_labels.h"

#include <algorithm>
#include <array>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/safetensors.h"
#include "model/label_config.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/side_by_side.h"

namespace lowrank {
namespace {

constexpr const char* labels_name = "labels.json";
constexpr int64_t max_config_bytes = 16 << 20;

/// Names of the last weight of a label head in PEFT's files.
constexpr std::array<std::string_view, 2> head_weights{".classifier.weight", ".classifier.out_proj.weight"};

bool is_head_weight(const StoredTensor& tensor) {
  return tensor.shape.size() == 2 &&
         std::ranges::any_of(head_weights, [&](std::string_view end) { return tensor.name.ends_with(end); });
}

LabelSet unnamed_labels(int64_t outputs) {
  LabelSet labels;
  for (int64_t i = 0; outputs > 1 && i < outputs; ++i) labels.names.push_back(fmt::format("LABEL_{}", i));
  return labels;
}

}  // namespace

std::optional<LabelSet> read_adapter_labels(const std::filesystem::path& path) {
  const std::filesystem::path folder = first_adapter(adapter_place(path));
  const std::filesystem::path own = folder / labels_name;
  if (std::filesystem::exists(own)) return labels_from_keys(read_json_file(own, max_config_bytes));
  const std::filesystem::path config = folder / "adapter_config.json";
  const std::filesystem::path tensors = folder / "adapter_model.safetensors";
  if (!std::filesystem::exists(config) || !std::filesystem::exists(tensors)) return std::nullopt;
  const nlohmann::json json = read_json_file(config, max_config_bytes);
  if (!json.is_object() || json.value("task_type", nlohmann::json()) != "SEQ_CLS") return std::nullopt;
  const SafetensorsFile file = SafetensorsFile::open(tensors);
  const auto head = std::ranges::find_if(file.tensors(), is_head_weight);
  check(head != file.tensors().end(), ErrorKind::invalid, "{}: no classifier.weight for task_type SEQ_CLS",
        tensors.string());
  // Each class must have a row of values: an empty tensor's shape could claim any number of classes.
  check(head->shape[0] > 0 && head->shape[1] > 0, ErrorKind::corrupt, "{}: {} has the shape [{}, {}]",
        tensors.string(), in_quotes(head->name), head->shape[0], head->shape[1]);
  return unnamed_labels(head->shape[0]);
}

void write_adapter_labels(const std::filesystem::path& folder, const LabelSet& labels) {
  write_file_atomically(folder / labels_name, json_text(label_keys(labels), 2) + "\n");
}

}  // namespace lowrank
