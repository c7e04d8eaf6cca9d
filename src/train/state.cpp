#include "train/state.h"

#include <cstdlib>
#include <cstring>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"

namespace lowrank {
namespace {

StoredTensor stored(const char* name, const at::Tensor& tensor) {
  return {name,
          DType::f32,
          {tensor.numel()},
          std::as_bytes(std::span(tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())))};
}

at::Tensor loaded(const SafetensorsFile& file, const char* name) {
  const StoredTensor* tensor = file.find(name);
  check(tensor && tensor->dtype == DType::f32 && tensor->shape.size() == 1, ErrorKind::corrupt,
        "{}: no training state (the tensor {} is missing or of another type)", file.path().string(), name);
  at::Tensor values = at::empty(tensor->shape, at::kFloat);
  std::memcpy(values.mutable_data_ptr<float>(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

int64_t whole(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const bool digits = found != file.metadata().end() && !found->second.empty() && found->second.size() < 19 &&
                      found->second.find_first_not_of("0123456789") == std::string::npos;
  check(digits, ErrorKind::corrupt, "{}: no training state (the entry {} is missing or wrong)",
        file.path().string(), key);
  return std::stoll(found->second);
}

}  // namespace

void write_state(const std::filesystem::path& path, const TrainState& state) {
  const StoredTensor tensors[] = {stored("values", state.values), stored("m", state.m), stored("v", state.v)};
  write_safetensors(path, tensors,
                    {{"step", std::to_string(state.step)},
                     {"best_step", std::to_string(state.best_step)},
                     {"best_loss", fmt::format("{:a}", state.best_loss)}});
}

TrainState read_state(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  TrainState state;
  state.values = loaded(file, "values");
  state.m = loaded(file, "m");
  state.v = loaded(file, "v");
  check(state.m.numel() == state.values.numel() && state.v.numel() == state.values.numel(),
        ErrorKind::corrupt, "{}: moments and values differ in size", path.string());
  state.step = whole(file, "step");
  state.best_step = whole(file, "best_step");
  const auto best = file.metadata().find("best_loss");
  check(best != file.metadata().end(), ErrorKind::corrupt, "{}: no entry best_loss", path.string());
  state.best_loss = std::strtod(best->second.c_str(), nullptr);
  return state;
}

}  // namespace lowrank
