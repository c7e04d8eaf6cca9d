// RMS norms: of the stream with the branch that is added to it, alone, of each head, and of each head with a
// gate (at Qwen 3.5-0.8B's sizes).
#include "kernel_case.h"
#include "kernels/operations/gated_norm.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/rms_norm.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr double epsilon = 1e-5;
constexpr double stream_width = 4;  ///< bytes; the stream is f32 always

std::vector<KernelCase> add_rms_norm_in(at::ScalarType type) {
  const auto prepare = [type] {
    const at::Tensor weight = random_values({smol::hidden}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, smol::hidden}, at::kFloat), random_leaf({smol::rows, smol::hidden}, type)},
        [=](const Tensors& in) {
          const AddNorm result = add_rms_norm(in[0], in[1], weight, epsilon, type);
          return Tensors{result.stream, result.normed};
        },
        [=](const Tensors& in) {
          const AddNorm result = add_rms_norm_reference(in[0], in[1], weight, epsilon, type);
          return Tensors{result.stream, result.normed};
        }};
  };
  constexpr double values = smol::rows * smol::hidden;
  // Backward: the sum and its gradient, the norm's gradient; the stream's gradient, which an f32 branch
  // shares.
  const double own_gradient = type == at::kFloat ? 0 : width(type);
  return both_directions(
      "add_rms_norm", type, {Resource::memory, values * (2 * stream_width + 2 * width(type))},
      {Resource::memory, values * (3 * stream_width + width(type) + own_gradient)}, prepare);
}

std::vector<KernelCase> rms_norm_in(at::ScalarType type) {
  const auto prepare = [type] {
    const at::Tensor weight = random_values({smol::hidden}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, smol::hidden}, at::kFloat)},
        [=](const Tensors& in) { return Tensors{rms_norm(in[0], weight, epsilon, type)}; },
        [=](const Tensors& in) {
          return Tensors{add_rms_norm_reference(in[0], {}, weight, epsilon, type).normed};
        }};
  };
  constexpr double values = smol::rows * smol::hidden;
  return both_directions("rms_norm", type, {Resource::memory, values * (stream_width + width(type))},
                         {Resource::memory, values * (2 * stream_width + width(type))}, prepare);
}

std::vector<KernelCase> head_norm_in(at::ScalarType type) {
  const auto prepare = [type] {
    const at::Tensor query_weight = random_values({smol::head_dim}, at::kFloat);
    const at::Tensor key_weight = random_values({smol::head_dim}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, smol::qkv}, type)},
        [=](const Tensors& in) {
          return Tensors{head_norm(in[0], query_weight, key_weight, smol::heads, smol::kv_heads, epsilon)};
        },
        [=](const Tensors& in) {
          return Tensors{
              head_norm_reference(in[0], query_weight, key_weight, smol::heads, smol::kv_heads, epsilon)};
        }};
  };
  const double bytes = smol::rows * smol::qkv * width(type);
  return both_directions("head_norm", type, {Resource::memory, 2 * bytes}, {Resource::memory, 3 * bytes},
                         prepare);
}

std::vector<KernelCase> gated_norm_in(at::ScalarType type) {
  constexpr int64_t columns = 2048, head_dim = 128;
  const auto prepare = [type] {
    const at::Tensor weight = random_values({head_dim}, at::kFloat);
    return DifferentiableOp{
        {random_leaf({smol::rows, columns}, type), random_leaf({smol::rows, columns}, type)},
        [=](const Tensors& in) { return Tensors{gated_norm(in[0], in[1], weight, epsilon)}; },
        [=](const Tensors& in) { return Tensors{gated_norm_reference(in[0], in[1], weight, epsilon)}; }};
  };
  const double bytes = smol::rows * columns * width(type);
  return both_directions("gated_norm", type, {Resource::memory, 3 * bytes}, {Resource::memory, 5 * bytes},
                         prepare);
}

}  // namespace

std::vector<KernelCase> norm_cases() {
  std::vector<KernelCase> cases;
  for (auto* of_type : {add_rms_norm_in, rms_norm_in, head_norm_in, gated_norm_in}) {
    for (const at::ScalarType type : measured_types) {
      for (KernelCase& kernel : of_type(type)) cases.push_back(std::move(kernel));
    }
  }
  return cases;
}

}  // namespace lowrank
