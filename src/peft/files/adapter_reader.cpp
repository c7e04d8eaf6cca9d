#include "peft/files/adapter_reader.h"

#include <algorithm>
#include <cstring>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/finite.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "formats/block_formats.h"
#include "peft/core/module_patterns.h"
#include "peft/core/registry.h"
#include "peft/files/encoder_state.h"
#include "peft/files/method_record.h"
#include "peft/low_rank/low_rank_config.h"

namespace lowrank {
namespace {

/// The tensors that the file must have.
std::vector<ParameterSpec> expected_tensors(const TrainPlan& plan) {
  std::vector<ParameterSpec> expected = plan.parameters;
  for (const ParameterCopy& copy : plan.copies) {
    std::vector<int64_t> shape = std::ranges::find(plan.parameters, copy.of, &ParameterSpec::name)->shape;
    if (copy.transposed) std::ranges::reverse(shape);
    expected.push_back({copy.name, std::move(shape)});
  }
  return expected;
}

bool can_hold(const StoredTensor& tensor, const ParameterSpec& spec) {
  return can_expand(tensor.dtype) || (spec.integer && tensor.dtype == DType::i32);
}

/// The base tensor of which PEFT stores a copy with an adapter, for example after training with a changed
/// vocabulary or with save_embedding_layers: the embedding's or the head's, whether adapted or not; nullptr
/// for other names.
const TensorRef* base_copy(const std::string& name, const ModelSpec& spec) {
  constexpr std::string_view start = "base_model.model.";
  if (!name.starts_with(start)) return nullptr;
  for (const TensorRef& tensor : spec.tensors) {
    if (tensor.role != Role::embedding && tensor.role != Role::head) continue;
    std::string_view own = tensor.module_name();
    const std::string_view rest = std::string_view(name).substr(start.size());
    for (const size_t left_out : {size_t{0}, spec.optional_prefix.size()}) {
      if (left_out > 0 && !tensor.name.starts_with(spec.optional_prefix)) continue;
      const std::string_view module = own.substr(left_out);
      if (rest == fmt::format("{}.base_layer.weight", module) || rest == fmt::format("{}.weight", module))
        return &tensor;
    }
  }
  return nullptr;
}

/// Other names that a tensor may have in PEFT's files: with the adapter's name, as in memory, or without the
/// prefix of the model's names, as in adapters of the model without its head.
std::vector<std::string> other_names(const std::string& name, const ModelSpec& spec) {
  constexpr std::string_view start = "base_model.model.";
  std::vector<std::string> stems{name};
  const std::string prefix = std::string(start) + spec.optional_prefix;
  if (!spec.optional_prefix.empty() && name.starts_with(prefix))
    stems.push_back(std::string(start) + name.substr(prefix.size()));
  std::vector<std::string> names;
  for (const std::string& stem : stems) {
    names.push_back(stem);
    names.push_back(stem + ".weight");
    names.push_back(stem + ".default");
    names.push_back(stem + ".default.weight");
    const size_t dot = stem.rfind('.');
    const std::string part = dot == std::string::npos ? "" : stem.substr(dot);
    if (part != ".weight" && part != ".bias") continue;
    names.push_back(stem.substr(0, dot) + ".default" + part);
    names.push_back(stem.substr(0, dot) + ".modules_to_save" + part);
    names.push_back(stem.substr(0, dot) + ".modules_to_save.default" + part);
  }
  names.erase(names.begin());
  return names;
}

/// Renames the tensors to the plan's names.
void adopt_names(AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec) {
  const auto expected = expected_tensors(plan);
  std::vector<std::string> taken;
  taken.reserve(expected.size());
  for (const ParameterSpec& tensor : expected) taken.push_back(tensor.name);
  std::ranges::sort(taken);
  for (const ParameterSpec& tensor : expected) {
    if (contents.find(tensor.name)) continue;
    for (const std::string& other : other_names(tensor.name, spec)) {
      if (std::ranges::binary_search(taken, other)) continue;
      auto entry = contents.tensors.extract(other);
      if (entry.empty()) continue;
      entry.key() = tensor.name;
      contents.tensors.insert(std::move(entry));
      break;
    }
  }
}

/// Patterns of the file that match no adapted module.
std::vector<std::string> idle_patterns_in(const nlohmann::json& config, const TrainPlan& plan) {
  std::vector<std::string> notes;
  for (const char* key : {"rank_pattern", "alpha_pattern"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_structured()) continue;
    Patterns patterns;
    for (const auto& [name, value] : found->items()) {
      if (value.is_number()) patterns.emplace_back(name, value.get<double>());
      if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_number())
        patterns.emplace_back(value[0].get<std::string>(), value[1].get<double>());
    }
    const std::vector<std::string> idle = idle_patterns(patterns, plan.targets);
    if (!idle.empty())
      notes.push_back(fmt::format("{}: {} matches none of the adapted modules", key, fmt::join(idle, ", ")));
  }
  return notes;
}

/// A hint that names the model the adapter was trained on, from the configuration.
std::string trained_on(const nlohmann::json& config) {
  for (const char* key : {"base_model_name_or_path", "model_name"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_string() || found->get_ref<const std::string&>().empty())
      continue;
    return fmt::format("the adapter was trained on {}: is `model` that one?",
                       in_quotes(found->get<std::string>()));
  }
  return {};
}

/// Tensors without effect that PEFT writes for a fully trained head with bias "all".
bool is_useless(std::string_view name) {
  return name.ends_with(".original_module.bias") || name.ends_with(".modules_to_save.bias");
}

std::vector<std::string> differences(const AdapterContents& contents, const TrainPlan& plan,
                                     const ModelSpec& model) {
  const auto expected = expected_tensors(plan);
  std::vector<std::string> wanted, found, problems;
  for (const ParameterSpec& tensor : expected) wanted.push_back(tensor.name);
  for (const auto& [name, tensor] : contents.tensors) found.push_back(name);
  const auto near = [&](const std::string& name, std::span<const std::string> known) {
    constexpr size_t with_nearest = 8;
    if (problems.size() >= with_nearest || known.size() > 2000) return std::string();
    const auto closest = nearest_name(name, known);
    return closest ? fmt::format(" (nearest: {})", *closest) : std::string();
  };
  for (const ParameterSpec& spec : expected) {
    const StoredTensor* tensor = contents.find(spec.name);
    if (!tensor) {
      problems.push_back("missing " + spec.name + near(spec.name, found));
    } else if (tensor->shape != spec.shape) {
      problems.push_back(fmt::format("{} has shape [{}] where [{}] is expected", spec.name,
                                     fmt::join(tensor->shape, ", "), fmt::join(spec.shape, ", ")));
    } else if (!can_hold(*tensor, spec)) {
      problems.push_back(fmt::format("{} has the type {}", spec.name, info_of(tensor->dtype).name));
    }
  }
  std::ranges::sort(wanted);
  for (const std::string& name : found) {
    if (std::ranges::binary_search(wanted, name) || base_copy(name, model) || is_useless(name)) continue;
    problems.push_back("unexpected " + name + near(name, wanted));
  }
  return problems;
}

void fill_parameters(const AdapterContents& contents, const TrainPlan& plan, const ParameterSet& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> broken;
  for (const ParameterSpec& spec : plan.parameters) {
    const StoredTensor& tensor = *contents.find(spec.name);
    const at::Tensor& parameter = parameters.at(spec.name);
    if (spec.integer && tensor.dtype == DType::i32) {
      std::memcpy(parameter.mutable_data_ptr<int32_t>(), tensor.bytes.data(), tensor.bytes.size());
      continue;
    }
    at::Tensor values = parameter.scalar_type() == at::kFloat ? parameter : at::empty(spec.shape, at::kFloat);
    const std::span<float> data(values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel()));
    expand(tensor.dtype, tensor.bytes, data);
    if (first_not_finite(data)) broken.push_back(spec.name);
    if (!values.is_same(parameter)) parameter.copy_(values);
  }
  if (broken.empty()) return;
  fail(ErrorKind::corrupt, "{}: values that are not finite in {}{}", contents.tensors_name, broken.front(),
       broken.size() > 1 ? fmt::format(" and {} more tensors", broken.size() - 1) : "");
}

at::Tensor values_of(const StoredTensor& tensor) {
  at::Tensor values = at::empty(tensor.shape, at::kFloat);
  expand(tensor.dtype, tensor.bytes, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

/// Copies of a parameter must equal it exactly.
void check_copies(const AdapterContents& contents, const TrainPlan& plan, const ParameterSet& parameters) {
  for (const ParameterCopy& copy : plan.copies) {
    const at::Tensor source = parameters.at(copy.of).detach().to(at::kFloat);
    check(at::equal(values_of(*contents.find(copy.name)), copy.transposed ? source.t() : source),
          ErrorKind::unsupported, "{}: {} differs from {}, to which it is tied", contents.tensors_name,
          copy.name, copy.of);
  }
}

/// A copy of a base tensor may be rounded to bf16, or expanded from other quantised blocks.
void check_base_copies(const AdapterContents& contents, const TrainPlan& plan, const Checkpoint& base) {
  constexpr double rounding = 1.0 / 256;
  const auto expected = expected_tensors(plan);
  const auto trains = [&](const std::string& name) {
    return std::ranges::find(expected, name, &ParameterSpec::name) != expected.end();
  };
  for (const auto& [name, stored] : contents.tensors) {
    const TensorRef* tensor = base_copy(name, base.spec());
    if (!tensor || trains(name)) continue;
    const bool same =
        stored.shape == tensor->shape && can_expand(stored.dtype) &&
        at::allclose(values_of(stored), base.read(base.source(*tensor), at::kFloat), rounding, 1e-6);
    check(same, ErrorKind::unsupported,
          "{}: {} is not the base model's own (another base, or a changed vocabulary); save the adapter with "
          "save_embedding_layers=False, or merge it in PEFT",
          contents.tensors_name, name);
  }
}

void check_names(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec) {
  const std::string config = std::filesystem::path(contents.config_name).filename().string();
  check_fits(differences(contents, plan, spec), contents.tensors_name,
             fmt::format("{} and the base model", config), trained_on(contents.config));
}

}  // namespace

StoredAdapter open_adapter(const std::filesystem::path& path, const ModelSpec& spec) try {
  StoredAdapter stored;
  stored.contents = read_adapter(path, spec);
  const MethodInfo& reader = method_of_config(stored.contents.config, stored.contents.config_name);
  stored.info = &recorded_method(path, reader, stored.method);
  stored.method->form().read_config(stored.contents.config, stored.contents.config_name);
  stored.where = stored.contents.tensors_name;
  stored.encoded = read_encoder_state(path, *stored.method, stored.contents);
  return stored;
} catch (const nlohmann::json::exception& error) {
  const std::string_view reason = error.what();
  fail(ErrorKind::corrupt,
       "{}: a value of the adapter's configuration is of another kind than it must be: {}", path.string(),
       reason.substr(reason.find("] ") + 2));
}

std::vector<std::string> check_tensors(StoredAdapter& stored, const TrainPlan& plan, const ModelSpec& spec) {
  AdapterContents& contents = stored.contents;
  adopt_names(contents, plan, spec);
  check_names(contents, plan, spec);
  std::vector<std::string> notes = idle_patterns_in(contents.config, plan);
  if (stored.contents.config.value("peft_type", "") == "LORA") {
    for (std::string& note : low_rank_notes(contents.config)) notes.push_back(std::move(note));
  }
  for (std::string& note : notes) note = fmt::format("{}: {}", contents.config_name, note);
  return notes;
}

void load_parameters(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec,
                     const ParameterSet& parameters) {
  check_names(contents, plan, spec);
  fill_parameters(contents, plan, parameters);
  check_copies(contents, plan, parameters);
}

void read_values(const StoredAdapter& stored, const Adapter& adapter, const Checkpoint& base) {
  fill_parameters(stored.contents, adapter.plan, *adapter.parameters);
  check_copies(stored.contents, adapter.plan, *adapter.parameters);
  check_base_copies(stored.contents, adapter.plan, base);
  if (stored.encoded) check_encoded(*stored.encoded, adapter, stored.where);
}

}  // namespace lowrank
