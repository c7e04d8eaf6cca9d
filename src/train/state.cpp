#include "train/state.h"

#include <cstring>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"

namespace lowrank {
namespace {

constexpr std::string_view method_prefix = "method.";

StoredTensor stored(std::string name, const at::Tensor& tensor) {
  return {std::move(name), DType::f32, tensor.sizes().vec(),
          std::as_bytes(std::span(tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())))};
}

at::Tensor loaded(const SafetensorsFile& file, const StoredTensor& tensor) {
  check(tensor.dtype == DType::f32, ErrorKind::corrupt, "{}: no training state (the tensor {} is not f32)",
        file.path().string(), tensor.name);
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  std::memcpy(values.mutable_data_ptr<float>(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

at::Tensor flat(const SafetensorsFile& file, const char* name) {
  const StoredTensor* tensor = file.find(name);
  check(tensor && tensor->shape.size() == 1, ErrorKind::corrupt,
        "{}: no training state (the tensor {} is missing or of another shape)", file.path().string(), name);
  return loaded(file, *tensor);
}

nlohmann::json entry(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(), ErrorKind::corrupt, "{}: no training state (the entry {} is missing)",
        file.path().string(), key);
  return parse_json(found->second, file.path().string() + ", " + key);
}

nlohmann::json json_of(const TrainState& state) {
  const RunResult& records = state.records;
  return {
      {"step", state.step},
      {"first_loss", records.first_loss},
      {"last_loss", records.last_loss},
      {"evaluated_step", records.evaluated_step},
      {"best_eval_loss", records.best_eval_loss ? nlohmann::json(*records.best_eval_loss) : nlohmann::json()},
      {"best_step", records.best_step},
      {"evaluations_since_best", records.evaluations_since_best},
      {"tokens", records.tokens},
      {"target_tokens", records.target_tokens},
      {"seconds", records.seconds}};
}

void take_records(const SafetensorsFile& file, TrainState& state) {
  const nlohmann::json json = entry(file, "run");
  RunResult& records = state.records;
  try {
    json.at("step").get_to(state.step);
    json.at("first_loss").get_to(records.first_loss);
    json.at("last_loss").get_to(records.last_loss);
    json.at("evaluated_step").get_to(records.evaluated_step);
    if (const auto& best = json.at("best_eval_loss"); !best.is_null())
      records.best_eval_loss = best.get<double>();
    json.at("best_step").get_to(records.best_step);
    records.evaluations_since_best = json.value("evaluations_since_best", int64_t{0});
    json.at("tokens").get_to(records.tokens);
    json.at("target_tokens").get_to(records.target_tokens);
    json.at("seconds").get_to(records.seconds);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::corrupt, "{}: no training state (the entry run: {})", file.path().string(), error.what());
  }
  check(state.step > 0, ErrorKind::corrupt, "{}: no training state (of step {})", file.path().string(),
        state.step);
  records.steps = state.step;
}

}  // namespace

void write_state(const std::filesystem::path& path, const TrainState& state) {
  std::vector<at::Tensor> whole;
  std::vector<StoredTensor> tensors;
  const auto add = [&](std::string name, const at::Tensor& tensor) {
    whole.push_back(tensor.cpu().contiguous());
    tensors.push_back(stored(std::move(name), whole.back()));
  };
  add("values", state.values);
  add("m", state.m);
  add("v", state.v);
  for (const FileTensor& tensor : state.method) add(std::string(method_prefix) + tensor.name, tensor.value);
  write_safetensors(path, tensors, {{"run", json_of(state).dump()}, {"identity", state.identity.dump()}});
}

TrainState read_state(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  TrainState state;
  state.values = flat(file, "values");
  state.m = flat(file, "m");
  state.v = flat(file, "v");
  check(state.m.numel() == state.values.numel() && state.v.numel() == state.values.numel(),
        ErrorKind::corrupt, "{}: moments and values differ in size", path.string());
  for (const StoredTensor& tensor : file.tensors()) {
    if (tensor.name.starts_with(method_prefix))
      state.method.push_back({tensor.name.substr(method_prefix.size()), loaded(file, tensor)});
  }
  take_records(file, state);
  state.identity = entry(file, "identity");
  return state;
}

StateHead read_state_head(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  TrainState state;
  take_records(file, state);
  return {state.step, entry(file, "identity")};
}

}  // namespace lowrank
