#include "peft/adapter_file.h"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/nearest_name.h"
#include "formats/block_formats.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

constexpr const char* config_name = "adapter_config.json";
constexpr const char* tensors_name = "adapter_model.safetensors";
constexpr int64_t max_config_bytes = 16 << 20;
constexpr size_t problems_shown = 8;

std::vector<std::string> differences(const SafetensorsFile& file, const TrainPlan& plan) {
  std::vector<std::string> wanted, found, problems;
  for (const ParameterSpec& spec : plan.parameters) wanted.push_back(spec.name);
  for (const StoredTensor& tensor : file.tensors()) found.push_back(tensor.name);
  const auto near = [](const std::string& name, std::span<const std::string> known) {
    const auto closest = known.size() <= 2000 ? nearest_name(name, known) : std::nullopt;
    return closest ? fmt::format(" (nearest: {})", *closest) : std::string();
  };
  for (const ParameterSpec& spec : plan.parameters) {
    const StoredTensor* tensor = file.find(spec.name);
    if (!tensor) {
      problems.push_back("missing " + spec.name +
                         (problems.size() < problems_shown ? near(spec.name, found) : ""));
    } else if (tensor->shape != spec.shape) {
      problems.push_back(fmt::format("{} has shape [{}] where [{}] is expected", spec.name,
                                     fmt::join(tensor->shape, ", "), fmt::join(spec.shape, ", ")));
    } else if (!can_expand(tensor->dtype)) {
      problems.push_back(fmt::format("{} has the type {}", spec.name, info_of(tensor->dtype).name));
    }
  }
  std::ranges::sort(wanted);
  for (const std::string& name : found) {
    if (std::ranges::binary_search(wanted, name)) continue;
    problems.push_back("unexpected " + name + (problems.size() < problems_shown ? near(name, wanted) : ""));
  }
  return problems;
}

void read_values(const SafetensorsFile& file, Adapter& adapter) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> broken;
  for (const ParameterSpec& spec : adapter.plan.parameters) {
    const StoredTensor& tensor = *file.find(spec.name);
    std::vector<float> values(adapter.parameters->at(spec.name).numel());
    expand(tensor.dtype, tensor.bytes, values);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      broken.push_back(spec.name);
    at::Tensor parameter = adapter.parameters->at(spec.name);
    parameter.copy_(at::from_blob(values.data(), spec.shape, at::kFloat));
  }
  check(broken.empty(), ErrorKind::corrupt, "{}: values that are not finite in {}{}", file.path().string(),
        broken.front(), broken.size() > 1 ? fmt::format(" and {} more tensors", broken.size() - 1) : "");
}

}  // namespace

Adapter make_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const ModelSpec& spec,
                     at::ScalarType type) {
  Adapter adapter{&info, std::move(method), {}, nullptr};
  adapter.plan = adapter.method->plan(spec);
  adapter.parameters = std::make_unique<ParameterSet>(adapter.plan.parameters, type);
  adapter.method->bind(*adapter.parameters);
  return adapter;
}

Adapter load_adapter(const std::filesystem::path& folder, const ModelSpec& spec, at::ScalarType type) {
  check(std::filesystem::is_directory(folder), ErrorKind::not_found, "{}: no such adapter folder",
        folder.string());
  const std::filesystem::path config_path = folder / config_name;
  const std::filesystem::path tensors_path = folder / tensors_name;
  if (!std::filesystem::exists(tensors_path) && std::filesystem::exists(folder / "adapter_model.bin")) {
    throw Error(ErrorKind::unsupported,
                (folder / "adapter_model.bin").string() + ": pickled adapters are never read",
                "load it with PEFT and save it with safe_serialization=True");
  }
  const nlohmann::json config = read_json_file(config_path, max_config_bytes);
  const MethodInfo& info = method_of_config(config, config_path.string());
  std::unique_ptr<Method> method = info.make();
  method->read_config(config, config_path.string());
  const SafetensorsFile file = SafetensorsFile::open(tensors_path);
  Adapter adapter = make_adapter(info, std::move(method), spec, type);
  std::vector<std::string> problems = differences(file, adapter.plan);
  if (!problems.empty()) {
    const size_t more = problems.size() - std::min(problems.size(), problems_shown);
    problems.resize(problems.size() - more);
    fail(ErrorKind::invalid, "{}: the tensors do not fit adapter_config.json and the base model: {}{}",
         tensors_path.string(), fmt::join(problems, "; "), more ? fmt::format("; and {} more", more) : "");
  }
  read_values(file, adapter);
  return adapter;
}

void save_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base) {
  std::vector<StoredTensor> tensors;
  std::vector<at::Tensor> values;
  for (const ParameterSpec& spec : adapter.plan.parameters) {
    values.push_back(adapter.parameters->at(spec.name).detach().to(at::kFloat).contiguous());
    const std::span<const float> data(values.back().const_data_ptr<float>(), values.back().numel());
    check(std::ranges::all_of(data, [](float value) { return std::isfinite(value); }), ErrorKind::invalid,
          "{}: not written, {} holds values that are not finite", folder.string(), spec.name);
    tensors.push_back({spec.name, DType::f32, spec.shape, std::as_bytes(data)});
  }
  std::filesystem::create_directories(folder);
  nlohmann::json config = adapter.method->config();
  config["base_model_name_or_path"] = base;
  config["task_type"] = "CAUSAL_LM";
  config["inference_mode"] = true;
  config["peft_version"] = "0.21.2";
  config["revision"] = nullptr;
  config["auto_mapping"] = nullptr;
  write_safetensors(folder / tensors_name, tensors);
  write_file_atomically(folder / config_name, config.dump(2) + "\n");
}

int64_t adapter_file_size(const std::filesystem::path& folder) {
  return static_cast<int64_t>(std::filesystem::file_size(folder / tensors_name));
}

}  // namespace lowrank
