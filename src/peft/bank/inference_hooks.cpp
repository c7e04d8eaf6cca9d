#include "peft/bank/inference_hooks.h"

#include <ATen/core/grad_mode.h>

#include "peft/bank/adapter_bank.h"

namespace lowrank {
namespace {

const Hooks plain{};

}  // namespace

InferenceHooks::InferenceHooks() : hooks_(&plain) {}

InferenceHooks::InferenceHooks(const Adapter& adapter) : hooks_(adapter.method.get()) {
  const at::NoGradGuard no_grad;
  adapter.method->begin_step({});
}

InferenceHooks::InferenceHooks(const AdapterBank& bank) : hooks_(&bank) {}

}  // namespace lowrank
