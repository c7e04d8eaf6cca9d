#include "peft/files/adapterhub_head.h"

#include <algorithm>

#include "formats/hub_cache.h"
#include "peft/files/adapter_file.h"
#include "peft/files/adapterhub_file.h"

namespace lowrank {

void AdapterHubHead::plan(const ModelSpec& spec, bool trains, TrainPlan& plan) {
  tensors_ = {};
  values_.clear();
  if (!trains || !spec.labels) return;
  config_ = adapterhub_config(nullptr, spec, "");
  config_["name"] = nullptr;
  config_["num_labels"] = spec.labels->outputs();
  config_["label2id"] = nlohmann::json::object();
  for (size_t i = 0; i < spec.labels->names.size(); ++i) config_["label2id"][spec.labels->names[i]] = i;
  for (const TensorRef* tensor : tensors_to_save(spec, with_head(spec, {}))) {
    tensors_.add(*tensor, tensor->name);
    values_.push_back({tensor->name, {}});
  }
  tensors_.plan(plan);
}

void AdapterHubHead::bind(const ParameterSet& parameters) {
  tensors_.bind(parameters);
  for (FileTensor& tensor : values_) tensor.value = parameters.at(tensor.name).detach();
}

std::vector<FileTensor> AdapterHubHead::without(std::vector<FileTensor> planned) const {
  std::erase_if(planned, [&](const FileTensor& tensor) {
    return std::ranges::find(values_, tensor.name, &FileTensor::name) != values_.end();
  });
  return planned;
}

void AdapterHubHead::save(const std::filesystem::path& folder, const std::string& base) const {
  if (values_.empty()) return;
  nlohmann::json config = config_;
  config[std::string(head_files.base_key)] = repository_of(base).value_or(base);
  write_adapter_files(folder, head_files, config, values_);
}

}  // namespace lowrank
