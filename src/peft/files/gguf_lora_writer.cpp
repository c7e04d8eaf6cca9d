#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mul.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/gguf_writer.h"
#include "model/tensor_form.h"
#include "peft/files/gguf_lora.h"

namespace lowrank {
namespace {

const TensorRef& weight_of(const ModelSpec& spec, const Module& module) {
  return *spec.find_tensor(module.name + ".weight");
}

/// adapter.lora.alpha: the value that leaves most factors B unchanged.
float file_alpha(const std::vector<LowRankUpdate>& updates) {
  std::vector<double> alphas;
  alphas.reserve(updates.size());
  for (const LowRankUpdate& update : updates) alphas.push_back(static_cast<float>(update.alpha));
  const auto alpha = static_cast<float>(most_common(alphas));
  return std::isnormal(alpha) ? alpha : 1.F;
}

/// A and B in the file's layout, f32 and contiguous.
struct StoredFactors {
  at::Tensor a, b;
};

StoredFactors stored_factors(const LowRankUpdate& update, const TensorRef& weight, float alpha) {
  const at::Tensor b =
      at::mul(update.b.detach().to(at::kDouble), update.alpha / static_cast<double>(alpha)).to(at::kFloat);
  const at::Tensor a = update.a.detach().to(at::kFloat);
  const at::Tensor right = in_gguf_column_order(update.module->is_linear() ? a : a.t(), weight);
  return {right.contiguous(), in_gguf_row_order(b, weight).contiguous()};
}

StoredTensor stored(const std::string& name, const at::Tensor& values, const std::filesystem::path& path) {
  check(at::isfinite(values).all().item<bool>(), ErrorKind::invalid,
        "{}: not written, {} holds values that are not finite", path.string(), name);
  const std::span<const float> data(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()));
  return {name, DType::f32, values.sizes().vec(), std::as_bytes(data)};
}

GgufMetadata metadata_of(const ModelSpec& spec, const std::filesystem::path& path, float alpha) {
  GgufMetadata metadata;
  metadata.set_string("general.architecture", spec.gguf_architecture);
  metadata.set_string("general.type", "adapter");
  metadata.set_string("general.name", path.stem().string());
  metadata.set_number<uint32_t>("general.file_type", 0);  // all F32
  metadata.set_string("adapter.type", "lora");
  metadata.set_number("adapter.lora.alpha", alpha);
  return metadata;
}

}  // namespace

void check_gguf_lora(const ModelSpec& spec, const Method& method, const std::string& where) {
  const LowRankForm form = method.low_rank_form();
  std::vector<std::string> problems = form.beside;
  if (spec.gguf_architecture.empty())
    problems.push_back(fmt::format("an adapter for {} models, which llama.cpp does not know", spec.family));
  for (const LowRankUpdate& update : form.updates) {
    const Role role = update.module->role;
    if (spec.tied_head && (role == Role::embedding || role == Role::head)) {
      problems.push_back(fmt::format("an update of {}, which this model shares between embedding and head",
                                     update.module->name));
    }
    if (role == Role::layer_input && update.module->layer < 0) {
      problems.push_back(
          fmt::format("an update of {}, which llama.cpp computes without adapters", update.module->name));
    }
  }
  if (problems.empty()) return;
  const bool mergeable =
      std::ranges::any_of(spec.tensors, [&](const TensorRef& tensor) { return method.merges(tensor); });
  throw Error(ErrorKind::unsupported,
              fmt::format("{}: a GGUF LoRA cannot hold {}", where, fmt::join(problems, "; ")),
              mergeable ? "leave that out, or merge into a GGUF file"
                        : "nor can it be merged: " + method.why_not_merged());
}

GgufLoraResult write_gguf_lora(const Checkpoint& base, const Adapter& adapter,
                               const std::filesystem::path& path, Existing existing) {
  const at::NoGradGuard no_grad;
  check_gguf_lora(base.spec(), *adapter.method, path.string());
  const std::vector<LowRankUpdate> updates = adapter.method->low_rank_form().updates;
  const float alpha = file_alpha(updates);
  std::vector<StoredFactors> factors;
  std::vector<StoredTensor> tensors;
  for (const LowRankUpdate& update : updates) {
    throw_if_interrupted();
    const TensorRef& weight = weight_of(base.spec(), *update.module);
    const StoredFactors& pair = factors.emplace_back(stored_factors(update, weight, alpha));
    tensors.push_back(stored(weight.gguf_name + ".lora_a", pair.a, path));
    tensors.push_back(stored(weight.gguf_name + ".lora_b", pair.b, path));
  }
  write_gguf(path, tensors, metadata_of(base.spec(), path, alpha), existing);
  return {std::ssize(updates), static_cast<int64_t>(std::filesystem::file_size(path))};
}

}  // namespace lowrank
