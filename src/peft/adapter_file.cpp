#include "peft/adapter_file.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/block_formats.h"
#include "formats/safetensors_writer.h"
#include "peft/adapter_contents.h"
#include "peft/adapter_labels.h"
#include "peft/encoder_state.h"
#include "peft/registry.h"

namespace lowrank {
namespace {

/// The shape of each tensor that the file must have.
std::vector<std::pair<std::string, std::vector<int64_t>>> expected_tensors(const TrainPlan& plan) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> expected;
  for (const ParameterSpec& spec : plan.parameters) expected.emplace_back(spec.name, spec.shape);
  for (const ParameterCopy& copy : plan.copies) {
    std::vector<int64_t> shape = std::ranges::find(plan.parameters, copy.of, &ParameterSpec::name)->shape;
    if (copy.transposed) std::ranges::reverse(shape);
    expected.emplace_back(copy.name, std::move(shape));
  }
  return expected;
}

/// The base tensor that PEFT puts beside an adapter on the embedding or on the head, as in training with a
/// changed vocabulary; nullptr for other names.
const TensorRef* base_copy(const std::string& name, const ModelSpec& spec) {
  for (const TensorRef& tensor : spec.tensors) {
    const bool copied = tensor.role == Role::embedding || tensor.role == Role::head;
    if (copied && name == fmt::format("base_model.model.{}.base_layer.weight", tensor.module_name()))
      return &tensor;
  }
  return nullptr;
}

/// What PEFT writes beside a whole head with bias "all", to no effect.
bool is_useless(std::string_view name) {
  return name.ends_with(".original_module.bias") || name.ends_with(".modules_to_save.bias");
}

std::vector<std::string> differences(const AdapterContents& contents, const TrainPlan& plan,
                                     const ModelSpec& model) {
  const auto expected = expected_tensors(plan);
  std::vector<std::string> wanted, found, problems;
  for (const auto& [name, shape] : expected) wanted.push_back(name);
  for (const auto& [name, tensor] : contents.tensors) found.push_back(name);
  const auto near = [&](const std::string& name, std::span<const std::string> known) {
    constexpr size_t with_nearest = 8;
    if (problems.size() >= with_nearest || known.size() > 2000) return std::string();
    const auto closest = nearest_name(name, known);
    return closest ? fmt::format(" (nearest: {})", *closest) : std::string();
  };
  for (const auto& [name, shape] : expected) {
    const StoredTensor* tensor = contents.find(name);
    if (!tensor) {
      problems.push_back("missing " + name + near(name, found));
    } else if (tensor->shape != shape) {
      problems.push_back(fmt::format("{} has shape [{}] where [{}] is expected", name,
                                     fmt::join(tensor->shape, ", "), fmt::join(shape, ", ")));
    } else if (!can_expand(tensor->dtype)) {
      problems.push_back(fmt::format("{} has the type {}", name, info_of(tensor->dtype).name));
    }
  }
  std::ranges::sort(wanted);
  for (const std::string& name : found) {
    if (std::ranges::binary_search(wanted, name) || base_copy(name, model) || is_useless(name)) continue;
    problems.push_back("unexpected " + name + near(name, wanted));
  }
  return problems;
}

void read_values(const AdapterContents& contents, const TrainPlan& plan, const ParameterSet& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> broken;
  for (const ParameterSpec& spec : plan.parameters) {
    const StoredTensor& tensor = *contents.find(spec.name);
    std::vector<float> values(count_of(spec));
    expand(tensor.dtype, tensor.bytes, values);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      broken.push_back(spec.name);
    at::Tensor parameter = parameters.at(spec.name);
    parameter.copy_(at::from_blob(values.data(), spec.shape, at::kFloat));
  }
  check(broken.empty(), ErrorKind::corrupt, "{}: values that are not finite in {}{}", contents.tensors_name,
        broken.front(), broken.size() > 1 ? fmt::format(" and {} more tensors", broken.size() - 1) : "");
}

at::Tensor values_of(const StoredTensor& tensor) {
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  expand(tensor.dtype, tensor.bytes, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

/// Tensors that repeat a parameter must repeat it exactly.
void check_copies(const AdapterContents& contents, const TrainPlan& plan, const ParameterSet& parameters) {
  for (const ParameterCopy& copy : plan.copies) {
    const at::Tensor source = parameters.at(copy.of).detach().to(at::kFloat);
    check(at::equal(values_of(*contents.find(copy.name)), copy.transposed ? source.t() : source),
          ErrorKind::unsupported, "{}: {} differs from {}, to which it is tied", contents.tensors_name,
          copy.name, copy.of);
  }
}

/// A copy of a base tensor may be rounded to bf16, or come from other quantised blocks' expansion.
void check_base_copies(const AdapterContents& contents, const Checkpoint& base) {
  constexpr double rounding = 1.0 / 256;
  for (const auto& [name, stored] : contents.tensors) {
    const TensorRef* tensor = base_copy(name, base.spec());
    if (!tensor) continue;
    const bool same =
        stored.shape == tensor->shape && can_expand(stored.dtype) &&
        at::allclose(values_of(stored), base.read(base.source(*tensor), at::kFloat), rounding, 1e-6);
    check(same, ErrorKind::unsupported,
          "{}: {} is not the base model's own (another base, or a changed vocabulary); save the adapter with "
          "save_embedding_layers=False, or merge it in PEFT",
          contents.tensors_name, name);
  }
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

std::function<Use(const TensorRef&)> uses_of(const TrainPlan& plan) {
  return [uses = plan.uses](const TensorRef& tensor) {
    const auto found = uses.find(tensor.name);
    return found == uses.end() ? Use::frozen : found->second;
  };
}

Adapter make_adapter(const MethodInfo& info, std::unique_ptr<Method> method, const Checkpoint& base,
                     at::ScalarType type) {
  Adapter adapter = plan_adapter(info, std::move(method), base.spec());
  adapter.parameters = std::make_unique<ParameterSet>(adapter.plan.parameters, type);
  adapter.method->bind(*adapter.parameters);
  adapter.method->attach(base);
  return adapter;
}

Adapter load_adapter(const std::filesystem::path& path, const Checkpoint& base, at::ScalarType type) {
  AdapterContents contents = read_adapter(path, base.spec());
  const MethodInfo& info = method_of_config(contents.config, contents.config_name);
  std::unique_ptr<Method> method = info.make();
  method->read_config(contents.config, contents.config_name);
  const std::string tensors_name = contents.tensors_name;
  const std::optional<StoredTensor> encoded = read_encoder_state(path, *method, contents);
  Adapter adapter = make_adapter(info, std::move(method), base, type);
  load_parameters(contents, adapter.plan, base.spec(), *adapter.parameters);
  check_base_copies(contents, base);
  if (encoded) check_encoded(*encoded, adapter, tensors_name);
  return adapter;
}

void load_parameters(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec,
                     const ParameterSet& parameters) {
  const std::string config = std::filesystem::path(contents.config_name).filename().string();
  check_fits(differences(contents, plan, spec), contents.tensors_name,
             fmt::format("{} and the base model", config));
  read_values(contents, plan, parameters);
  check_copies(contents, plan, parameters);
}

std::vector<FileTensor> file_tensors(const Adapter& adapter) {
  std::vector<FileTensor> planned;
  for (const ParameterSpec& spec : adapter.plan.parameters)
    planned.push_back({spec.name, adapter.parameters->at(spec.name).detach()});
  for (const ParameterCopy& copy : adapter.plan.copies) {
    const at::Tensor value = adapter.parameters->at(copy.of).detach();
    planned.push_back({copy.name, copy.transposed ? value.t() : value});
  }
  return adapter.method->file_tensors(std::move(planned));
}

void write_file_tensors(const std::filesystem::path& path, const std::vector<FileTensor>& file_tensors) {
  std::vector<StoredTensor> tensors;
  std::vector<at::Tensor> values;
  for (const FileTensor& tensor : file_tensors) {
    values.push_back(tensor.value.to(at::kFloat).contiguous());
    const std::span<const float> data(values.back().const_data_ptr<float>(), values.back().numel());
    check(std::ranges::all_of(data, [](float value) { return std::isfinite(value); }), ErrorKind::invalid,
          "{}: not written, {} holds values that are not finite", path.string(), tensor.name);
    tensors.push_back({tensor.name, DType::f32, tensor.value.sizes().vec(), std::as_bytes(data)});
  }
  std::filesystem::create_directories(path.parent_path());
  write_safetensors(path, tensors);
}

void write_adapter_files(const std::filesystem::path& folder, const AdapterFiles& files,
                         const nlohmann::json& config, const std::vector<FileTensor>& tensors) {
  write_file_tensors(folder / files.tensors, tensors);
  write_file_atomically(folder / files.config, config.dump(2) + "\n");
}

void save_adapter(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base) {
  const AdapterFiles files = adapter.method->files();
  nlohmann::json config = adapter.method->config();
  config[std::string(files.base_key)] = base;
  if (files.peft) {
    config["task_type"] = adapter.labels ? "SEQ_CLS" : "CAUSAL_LM";
    config["inference_mode"] = true;
    config["peft_version"] = "0.21.2";
    config["revision"] = nullptr;
    config["auto_mapping"] = nullptr;
  }
  adapter.method->save_beside(folder, base);
  save_encoder_state(folder, adapter);
  write_adapter_files(folder, files, config, file_tensors(adapter));
  if (adapter.labels) write_adapter_labels(folder, *adapter.labels);
}

int64_t adapter_file_size(const std::filesystem::path& folder, const Adapter& adapter) {
  return static_cast<int64_t>(std::filesystem::file_size(folder / adapter.method->files().tensors));
}

}  // namespace lowrank
