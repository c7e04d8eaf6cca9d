#include "peft/files/adapter_file.h"

#include <algorithm>
#include <cmath>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "formats/hub_cache.h"
#include "formats/safetensors_writer.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/adapter_labels.h"
#include "peft/files/adapter_reader.h"
#include "peft/files/encoder_state.h"
#include "peft/files/method_record.h"
#include "peft/files/side_by_side.h"

namespace lowrank {
namespace {

/// Checks values, gradients and the optimizer's two moments, all f32, against the machine's memory.
void check_memory(const TrainPlan& plan) {
  constexpr double bytes_a_value = 16;
  double bytes = 0;
  for (const ParameterSpec& spec : plan.parameters) {
    double values = 1;
    for (const int64_t extent : spec.shape) values *= static_cast<double>(extent);
    bytes += values * bytes_a_value;
  }
  const auto machine = static_cast<double>(machine_bytes());
  if (machine == 0 || bytes <= machine) return;
  throw Error(
      ErrorKind::invalid,
      fmt::format("{:.3g} parameters would train, which take {:.0f} GB with their gradients and "
                  "moments; the machine has {:.1f} GB",
                  bytes / bytes_a_value, bytes / 1e9, machine / 1e9),
      "lower the option that sizes them (a rank, a number of virtual tokens), or adapt fewer modules");
}

}  // namespace

Adapter plan_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const ModelSpec& spec) {
  Adapter adapter{&info, std::move(method), {}, nullptr, spec.labels};
  adapter.plan = adapter.method->plan(spec);
  return adapter;
}

int64_t parameter_count(const TrainPlan& plan) {
  int64_t count = 0;
  for (const ParameterSpec& spec : plan.parameters) count += spec.frozen ? 0 : count_of(spec);
  return count;
}

std::function<TensorUse(const TensorRef&)> uses_of(const TrainPlan& plan) {
  return [uses = plan.uses](const TensorRef& tensor) {
    const auto found = uses.find(tensor.name);
    return found == uses.end() ? TensorUse::frozen : found->second;
  };
}

Adapter make_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const Checkpoint& base,
                     at::ScalarType type) {
  Adapter adapter = plan_adapter(info, std::move(method), base.spec());
  check_memory(adapter.plan);
  give_parameters(adapter, base, type);
  return adapter;
}

void give_parameters(Adapter& adapter, const Checkpoint& base, at::ScalarType type, InitialValues initial) {
  adapter.parameters = std::make_unique<ParameterSet>(adapter.plan.parameters, type, initial);
  adapter.base = base.shared_from_this();
  adapter.method->bind(*adapter.parameters);
  adapter.method->read_base(base);
}

void move_adapter(Adapter& adapter, at::Device device) {
  if (adapter.parameters->options().device() == device) return;
  adapter.parameters = std::make_unique<ParameterSet>(adapter.parameters->on(device));
  adapter.method->bind(*adapter.parameters);
  adapter.method->read_base(*adapter.base);
}

Adapter load_adapter(const std::filesystem::path& given, const Checkpoint& base, at::ScalarType type) {
  const std::filesystem::path path = adapter_place(given);
  if (is_side_by_side(path)) return load_side_by_side(path, base, type);
  StoredAdapter stored = open_adapter(path, base.spec());
  Adapter adapter = plan_adapter(*stored.info, std::move(stored.method), base.spec());
  adapter.notes = check_tensors(stored, adapter.plan, base.spec());
  give_parameters(adapter, base, type, InitialValues::unset);
  read_values(stored, adapter, base);
  return adapter;
}

std::vector<FileTensor> file_tensors(const Adapter& adapter) {
  std::vector<FileTensor> planned;
  for (const ParameterSpec& spec : adapter.plan.parameters)
    planned.push_back({spec.name, adapter.parameters->at(spec.name).detach()});
  for (const ParameterCopy& copy : adapter.plan.copies) {
    const at::Tensor value = adapter.parameters->at(copy.of).detach();
    planned.push_back({copy.name, copy.transposed ? value.t() : value});
  }
  return adapter.method->form().file_tensors(std::move(planned));
}

void write_file_tensors(const std::filesystem::path& path, const std::vector<FileTensor>& file_tensors) {
  std::vector<StoredTensor> tensors;
  std::vector<at::Tensor> values;
  for (const FileTensor& tensor : file_tensors) {
    if (tensor.value.scalar_type() == at::kInt) {
      values.push_back(tensor.value.cpu().contiguous());
      const std::span<const int32_t> data(values.back().const_data_ptr<int32_t>(), values.back().numel());
      tensors.push_back({tensor.name, DType::i32, tensor.value.sizes().vec(), std::as_bytes(data)});
      continue;
    }
    values.push_back(tensor.value.to(at::kFloat).cpu().contiguous());
    const std::span<const float> data(values.back().const_data_ptr<float>(), values.back().numel());
    check(std::ranges::all_of(data, [](float value) { return std::isfinite(value); }), ErrorKind::invalid,
          "{}: not written, {} holds values that are not finite", path.string(), tensor.name);
    tensors.push_back({tensor.name, DType::f32, tensor.value.sizes().vec(), std::as_bytes(data)});
  }
  std::filesystem::create_directories(path.parent_path());
  write_safetensors(path, tensors);
}

void write_adapter_files(const std::filesystem::path& folder, const AdapterFileNames& files,
                         const nlohmann::json& config, const std::vector<FileTensor>& tensors) {
  write_file_tensors(folder / files.tensors, tensors);
  write_file_atomically(folder / files.config, json_text(config, 2) + "\n");
}

void write_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base) {
  if (adapter.method->form().parts()) return write_side_by_side(folder, adapter, base);
  const AdapterFileNames files = adapter.method->form().names();
  nlohmann::json config = adapter.method->form().config();
  config[std::string(files.base_key)] = repository_of(base).value_or(base);
  if (files.peft) {
    config["task_type"] = adapter.labels ? "SEQ_CLS" : "CAUSAL_LM";
    config["inference_mode"] = true;
    config["peft_version"] = "0.21.2";
    config["revision"] = nullptr;
    config["auto_mapping"] = nullptr;
  }
  adapter.method->form().save_beside(folder, base);
  write_encoder_state(folder, adapter);
  write_method_record(folder, adapter);
  write_adapter_files(folder, files, config, file_tensors(adapter));
  if (adapter.labels) write_adapter_labels(folder, *adapter.labels);
}

void save_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base) {
  replace_adapter(folder, [&](const std::filesystem::path& fresh) { write_adapter(fresh, adapter, base); });
}

int64_t adapter_file_size(const std::filesystem::path& folder, const Adapter& adapter) {
  const std::vector<Adapter>* parts = adapter.method->form().parts();
  if (!parts)
    return static_cast<int64_t>(std::filesystem::file_size(folder / adapter.method->form().names().tensors));
  int64_t bytes = 0;
  for (const Adapter& part : *parts) bytes += adapter_file_size(folder / std::string(part.info->name), part);
  return bytes;
}

}  // namespace lowrank
