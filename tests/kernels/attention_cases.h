#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/operations/attention.h"

namespace lowrank::attention_cases {

/// One plan on one shape, with the rows that it needs.
struct Case {
  std::string name;
  AttentionShape shape;
  int64_t rows = 0;                 ///< of qkv
  std::vector<int64_t> extra_rows;  ///< of sources 1, 2, …
  std::vector<bool> extra_grad;
  AttentionPlan plan;
};

/// Random operands; leaves that require a gradient if the case says so.
struct Inputs {
  at::Tensor qkv;
  std::vector<KeyValue> extra;
  at::Tensor dout;
};

struct Result {
  at::Tensor out;
  std::vector<at::Tensor> grads;  ///< of qkv, then k and v of each extra source; undefined where none
};

using Attention = at::Tensor (*)(const at::Tensor&, std::span<const KeyValue>,
                                 const std::shared_ptr<const AttentionPlan>&, const AttentionShape&);

/// Sequences of odd lengths, head sizes and groupings; windows, encoders, prefixes, caches, shared prompts,
/// gaps.
std::vector<Case> all_cases();

Inputs make_inputs(const Case& c, at::ScalarType type);
Inputs to_type(const Inputs& inputs, at::ScalarType type);
/// Forward, and backward with dout.
Result run(Attention attention, const Inputs& inputs, const Case& c);

}  // namespace lowrank::attention_cases
