// What carries a state from row to row, at the sizes of a layer of Qwen 3.5-0.8B, over sequences of 62 rows
// (8 pairs of E2E) and one of 496: the causal convolution with silu, and the gated delta rule; and
// LFM2-350M's convolution with its gates. FLOPs of the delta rule: those of the recurrence, 4 products with
// the state a row forward and 9 backward; chunks need a few more.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/format.h>

#include "kernel_case.h"
#include "kernels/operations/causal_conv.h"
#include "kernels/operations/delta_rule.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr DeltaRuleShape heads{16, 16, 128, 128};
constexpr int64_t taps = 4;

RowSequences sequences_of(int64_t length) {
  RowSequences sequences;
  for (int64_t row = 0; row <= smol::rows; row += length) sequences.offsets.push_back(row);
  return sequences;
}

void add_convolution(std::vector<KernelCase>& cases, at::ScalarType type) {
  const RowSequences sequences = sequences_of(62);
  const auto prepare = [=] {
    const at::Tensor weight = random_values({heads.columns(), taps}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, heads.columns()}, type)},
        [=](const Tensors& in) { return Tensors{causal_conv(in[0], weight, sequences, {}, true)}; },
        [=](const Tensors& in) {
          return Tensors{causal_conv_reference(in[0], weight, sequences, {}, true)};
        }};
  };
  const double bytes = static_cast<double>(smol::rows * heads.columns()) * width(type);
  for (KernelCase& kernel : both_directions("causal_conv", type, {Resource::memory, 2 * bytes},
                                            {Resource::memory, 3 * bytes}, prepare))
    cases.push_back(std::move(kernel));
}

void add_gated_convolution(std::vector<KernelCase>& cases, at::ScalarType type) {
  constexpr int64_t channels = 1024, gated_taps = 3;
  const RowSequences sequences = sequences_of(62);
  const auto prepare = [=] {
    const at::Tensor weight = random_values({channels, gated_taps}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, 3 * channels}, type)},
        [=](const Tensors& in) { return Tensors{gated_causal_conv(in[0], weight, sequences, {})}; },
        [=](const Tensors& in) {
          return Tensors{gated_causal_conv_reference(in[0], weight, sequences, {})};
        }};
  };
  const double bytes = static_cast<double>(smol::rows * channels) * width(type);
  for (KernelCase& kernel : both_directions("gated_causal_conv", type, {Resource::memory, 4 * bytes},
                                            {Resource::memory, 7 * bytes}, prepare))
    cases.push_back(std::move(kernel));
}

void add_delta_rule(std::vector<KernelCase>& cases, at::ScalarType type, int64_t length) {
  const RowSequences sequences = sequences_of(length);
  const auto prepare = [=] {
    const at::Tensor values = random_values({2, smol::rows, heads.value_heads}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, heads.columns()}, type),
         (-at::abs(values[0]) * 0.1).set_requires_grad(true), at::sigmoid(values[1]).set_requires_grad(true)},
        [=](const Tensors& in) { return Tensors{delta_rule(in[0], in[1], in[2], heads, sequences, {})}; },
        [=](const Tensors& in) {
          return Tensors{delta_rule_reference(in[0], in[1], in[2], heads, sequences, {})};
        }};
  };
  const auto state = static_cast<double>(heads.value_heads * heads.key_dim * heads.value_dim);
  const double product = 2 * smol::rows * state;
  for (KernelCase& kernel :
       both_directions(fmt::format("delta_rule/{}x{}", smol::rows / length, length), type,
                       products(at::kFloat, 4 * product), products(at::kFloat, 9 * product), prepare))
    cases.push_back(std::move(kernel));
}

}  // namespace

std::vector<KernelCase> recurrent_cases() {
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    add_convolution(cases, type);
    add_gated_convolution(cases, type);
    add_delta_rule(cases, type, 62);
    add_delta_rule(cases, type, smol::rows);
  }
  return cases;
}

}  // namespace lowrank
