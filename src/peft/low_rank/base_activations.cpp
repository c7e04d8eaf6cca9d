#include "peft/low_rank/base_activations.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>

#include "model/model.h"
#include "model/registry.h"

namespace lowrank {
namespace {

/// Records the hidden states between the layers of one pass.
struct Recorder final : Hooks {
  at::Tensor embed(const Place&, const Embedding&, at::Tensor looked_up) const override {
    rows.push_back(looked_up);
    return rows.back();
  }
  HiddenState layer_end(const Place&, HiddenState hidden) const override {
    rows.push_back(hidden.sum());
    return hidden;
  }
  mutable std::vector<at::Tensor> rows;
};

std::unique_ptr<Model> body_of(const Checkpoint& base) {
  LoadOptions options;
  options.compute = at::kFloat;
  options.memory = BaseMemory::small;
  options.use = [](const TensorRef& tensor) {
    return tensor.role == Role::head ? TensorUse::generated : TensorUse::frozen;
  };
  return base.family().load(base.shared_from_this(), options);
}

Recorder record(const Checkpoint& base, const std::vector<int64_t>& tokens) {
  const at::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(tokens.size());
  Batch batch{tokens, {}, {0, count}, {}, {0}, {}, {}};
  for (int64_t i = 0; i < count; ++i) batch.positions.push_back(i);
  Recorder recorder;
  body_of(base)->forward({&batch}, recorder, nullptr);
  return recorder;
}

}  // namespace

at::Tensor embedded_tokens(const Checkpoint& base, const std::vector<int64_t>& tokens) {
  return body_of(base)->embedding().look_up(tokens);
}

at::Tensor layer_inputs(const Checkpoint& base, const std::vector<int64_t>& tokens) {
  Recorder recorder = record(base, tokens);
  recorder.rows.pop_back();
  return at::stack(recorder.rows);
}

std::vector<int64_t> sampled_tokens(int64_t count, int64_t vocabulary, Philox& random) {
  std::vector<int64_t> tokens(count);
  for (int64_t& token : tokens) token = static_cast<int64_t>(random.below(static_cast<uint64_t>(vocabulary)));
  return tokens;
}

}  // namespace lowrank
