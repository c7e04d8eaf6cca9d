#include "peft/adapter_reader.h"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/block_formats.h"
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

void fill_parameters(const AdapterContents& contents, const TrainPlan& plan, const ParameterSet& parameters) {
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

StoredAdapter open_adapter(const std::filesystem::path& path, const ModelSpec& spec) try {
  StoredAdapter stored;
  stored.contents = read_adapter(path, spec);
  stored.info = &method_of_config(stored.contents.config, stored.contents.config_name);
  stored.method = stored.info->make();
  stored.method->read_config(stored.contents.config, stored.contents.config_name);
  stored.where = stored.contents.tensors_name;
  stored.encoded = read_encoder_state(path, *stored.method, stored.contents);
  return stored;
} catch (const nlohmann::json::exception& error) {
  const std::string_view reason = error.what();
  fail(ErrorKind::corrupt,
       "{}: a value of the adapter's configuration is of another kind than it must be: {}", path.string(),
       reason.substr(reason.find("] ") + 2));
}

void load_parameters(const AdapterContents& contents, const TrainPlan& plan, const ModelSpec& spec,
                     const ParameterSet& parameters) {
  const std::string config = std::filesystem::path(contents.config_name).filename().string();
  check_fits(differences(contents, plan, spec), contents.tensors_name,
             fmt::format("{} and the base model", config));
  fill_parameters(contents, plan, parameters);
  check_copies(contents, plan, parameters);
}

void read_values(const StoredAdapter& stored, const Adapter& adapter, const Checkpoint& base) {
  load_parameters(stored.contents, adapter.plan, base.spec(), *adapter.parameters);
  check_base_copies(stored.contents, base);
  if (stored.encoded) check_encoded(*stored.encoded, adapter, stored.where);
}

}  // namespace lowrank
