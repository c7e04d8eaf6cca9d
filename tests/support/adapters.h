#pragma once

#include <memory>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>

#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "support/load_forms.h"
#include "support/tiny_model.h"

namespace lowrank::test {

/// An adapter with these options and values N(0, 0.1) everywhere.
inline Adapter random_adapter(const Checkpoint& base, const nlohmann::json& options,
                              std::string_view method_name = "lora") {
  const MethodInfo& info = method_named(method_name);
  std::unique_ptr<Method> method = info.make();
  apply(method->fields(), options, "test");
  Adapter adapter = make_adapter(info, std::move(method), base);
  const at::NoGradGuard no_grad;
  Philox random(4);
  at::Tensor& values = adapter.parameters->values();
  for (int64_t i = 0; i < values.numel(); ++i) values[i] = 0.1 * random.normal();
  return adapter;
}

/// Logits of two random sequences at every position, in f32.
inline at::Tensor logits_of(const std::shared_ptr<const Checkpoint>& base, const Hooks& hooks) {
  const at::NoGradGuard no_grad;
  const auto model = base->family().load(base, in_f32());
  const Batch batch = batch_of(random_examples({9, 5}, base->spec().vocabulary_size));
  std::vector<int64_t> rows(batch.token_count());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return batch_logits(*model, {&batch}, hooks, rows, nullptr);
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return at::max(at::abs(a - b)).item<double>();
}

}  // namespace lowrank::test
