#include "train/memory_estimate.h"

#include <algorithm>
#include <set>

#include "kernels/operations/recomputed.h"
#include "model/experts.h"

namespace lowrank {
namespace {

constexpr int64_t f32_size = sizeof(float);

/// Most bytes of logits that kernels/losses/target_loss holds at a time.
constexpr int64_t most_logit_bytes = 32 << 20;

/// Memory of the libraries' kernels and scratch space, and pages that the allocator keeps; measured.
constexpr int64_t library_bytes = 40'000'000;

/// Fragmentation: unused memory between the blocks that are kept, as a fraction of these. Blocks that a layer
/// frees leave gaps that the next layer's do not quite fill. With recomputation, all but a small block of
/// each layer is freed, and these blocks fragment the space unless they are kept apart; what layers compute
/// then leaves larger gaps. Measured at 200 to 8,200 rows, and over 350 steps of varying sizes, during which
/// the gaps grow.
constexpr double unused_share = 0.3, unused_share_of_inputs = 1, unused_share_beside_inputs = 0.5;

/// Bytes per value that a norm keeps besides its output: none for RMS norms, the f32 stream for those with a
/// bias.
int64_t stream_size(const ModelSpec& spec) {
  const bool biased = std::ranges::any_of(spec.tensors, [](const TensorRef& tensor) {
    return tensor.role == Role::norm && tensor.name.ends_with(".bias");
  });
  return biased ? f32_size : 0;
}

/// Bytes per row that a layer's experts keep: each token's rows before and after their products, and the
/// weighted sum's.
int64_t expert_bytes(const ModelSpec& spec, int layer, int64_t size) {
  const ExpertUse& experts = spec.experts;
  if (experts.layers.empty() || !experts.layers[layer]) return 0;
  return experts.count * f32_size +
         experts.used * ((2 * spec.hidden_size + 3 * experts.ff) * size + spec.hidden_size * f32_size);
}

/// Bytes per row that a layer keeps: outputs that attention and activation need again, inputs of adapted
/// products, and what norms output and keep.
int64_t layer_bytes(const ModelSpec& spec, const std::set<std::string>& targets, int layer, int64_t size) {
  int64_t bytes = 2 * spec.hidden_size * (stream_size(spec) + size) + expert_bytes(spec, layer, size);
  for (const Module& module : spec.modules) {
    if (module.layer != layer || module.expert) continue;
    if (module.role == Role::attention_out) {
      bytes += module.in * size;
    } else if (module.role == Role::down) {
      bytes += targets.contains(module.name) ? module.in * size : 0;
    } else if (module.role == Role::mixer_in) {
      bytes += 2 * module.out * size;  // as projected, and behind the convolution
    } else {
      bytes += module.out * size;
    }
  }
  return bytes;
}

/// Whether a module's matrix stays in the file.
bool stays_in_file(const Module& module, const StoredTensor& stored, const LoadOptions& options) {
  if (module.expert || options.base_memory() == BaseMemory::blocks) return stays_in_file(stored, options);
  return options.base_memory() == BaseMemory::small;
}

/// The lowest layer that is trained; nothing is kept below it.
int lowest_layer(const ModelSpec& spec, const TrainPlan& plan) {
  int lowest = static_cast<int>(spec.layers);
  for (const std::string& name : plan.targets) {
    const Module* module = spec.find_module(name);
    const TensorRef* tensor = module ? nullptr : spec.find_tensor(name);
    lowest = std::min(lowest, std::max(0, module ? module->layer : tensor ? tensor->layer : 0));
  }
  return plan.targets.empty() ? 0 : lowest;
}

/// Bytes of the trained values' gradients and moments (f32), of values that are initially zero and so not yet
/// in memory (or of a second copy of trained weights), of a gradient before it is added, of what is
/// computed from the values once per step, with its gradient, and of the stacked factors.
int64_t state_bytes_of(const TrainPlan& plan) {
  int64_t count = 0, largest = 0;
  for (const ParameterSpec& parameter : plan.parameters) {
    count += *element_count(parameter.shape);
    largest = std::max(largest, *element_count(parameter.shape));
  }
  return f32_size *
         (4 * count + (plan.uses.empty() ? 2 * largest : 0) + 2 * plan.resolved_values + plan.stacked_values);
}

/// Bytes of base tensors that a method generates (f32 with a gradient, and two copies for products), and
/// bytes per row that trained norms keep.
struct ReplacedBytes {
  int64_t generated = 0, norms = 0;
};

ReplacedBytes replaced_bytes(const ModelSpec& spec, const TrainPlan& plan, int64_t size) {
  ReplacedBytes bytes;
  for (const auto& [name, use] : plan.uses) {
    const TensorRef* tensor = spec.find_tensor(name);
    if (!tensor) continue;
    if (use == TensorUse::generated) bytes.generated += *element_count(tensor->shape) * 2 * (f32_size + size);
    if (tensor->role == Role::norm && tensor->is_weight()) bytes.norms += spec.hidden_size * f32_size;
  }
  return bytes;
}

}  // namespace

int64_t mapped_bytes(const Checkpoint& base, const LoadOptions& options) {
  if (options.nf4) return 0;
  int64_t bytes = 0;
  for (const Module& module : base.spec().modules) {
    const TensorRef* tensor = base.spec().find_tensor(module.name + ".weight");
    const StoredTensor* stored = tensor ? base.find(*tensor) : nullptr;
    if (stored && stays_in_file(module, *stored, options)) bytes += std::ssize(stored->bytes);
  }
  return bytes;
}

int64_t training_bytes(const ModelSpec& spec, const TrainPlan& plan, at::ScalarType compute,
                       const BatchSize& batch, bool recompute) {
  const auto size = static_cast<int64_t>(c10::elementSize(compute));
  const std::set<std::string> targets(plan.targets.begin(), plan.targets.end());
  int64_t count = 0;
  for (const ParameterSpec& parameter : plan.parameters) count += *element_count(parameter.shape);
  const ReplacedBytes replaced = replaced_bytes(spec, plan, size);
  int64_t kept = recompute ? 0 : plan.kept_values * f32_size + replaced.norms, largest = 0;
  for (int layer = lowest_layer(spec, plan); layer < spec.layers; ++layer) {
    const int64_t whole = layer_bytes(spec, targets, layer, size);
    kept += recompute ? spec.hidden_size * (f32_size + size) : whole;
    largest = std::max(largest, whole);
  }
  const int64_t whole_weights = plan.uses.empty() || size == f32_size ? 0 : count * size;
  const int64_t logits = std::min(most_logit_bytes, batch.targets * spec.vocabulary_size * size);
  const bool apart = recompute && batch.tokens * spec.hidden_size * f32_size >= least_own_memory;
  const double unused = !recompute ? unused_share : apart ? 0 : unused_share_of_inputs;
  const double unused_of_one = apart ? unused_share_beside_inputs : unused_share;
  const double per_token =
      (1 + unused) * static_cast<double>(kept) + (1 + unused_of_one) * 2 * static_cast<double>(largest);
  return library_bytes + state_bytes_of(plan) + 2 * whole_weights + replaced.generated +
         static_cast<int64_t>(per_token * static_cast<double>(batch.tokens)) + logits;
}

}  // namespace lowrank
