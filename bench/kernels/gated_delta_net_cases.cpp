// A gated DeltaNet layer of Qwen 3.5-0.8B over one sequence of 512 rows, against its two frozen products
// alone: the ratio is the products' share of the layer. Work: the products' FLOPs.
#include <memory>

#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/split_with_sizes.h>

#include "kernel_case.h"
#include "kernels/operations/causal_conv.h"
#include "kernels/operations/delta_rule.h"
#include "kernels/operations/gated_norm.h"
#include "kernels/products/low_rank_linear.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr DeltaRuleShape heads{16, 16, 128, 128};
constexpr int64_t rows = 512, hidden = 1024, taps = 4;
constexpr double epsilon = 1e-6;

struct LayerWeights {
  std::shared_ptr<const PreparedWeight> in, out;
  at::Tensor convolution, norm, step;
};

int64_t values_of(const DeltaRuleShape& shape) {
  return shape.value_heads * shape.value_dim;
}

LayerWeights weights_in(at::ScalarType type) {
  const auto matrix = [type](int64_t out, int64_t in) {
    return std::make_shared<const PreparedWeight>(
        PreparedWeight::pack(random_values({out, in}, at::kFloat) * 0.03, type, BaseMemory::one, true));
  };
  return {matrix(heads.columns() + values_of(heads) + 2 * heads.value_heads, hidden),
          matrix(hidden, values_of(heads)), random_values({heads.columns(), taps}, at::kFloat),
          random_values({heads.value_dim}, at::kFloat), random_values({heads.value_heads}, at::kFloat)};
}

at::Tensor product(const at::Tensor& x, const std::shared_ptr<const PreparedWeight>& weight) {
  return low_rank_linear(x, weight, std::nullopt, {});
}

/// As model/mixers/gated_delta_net.cpp.
at::Tensor layer(const LayerWeights& w, const at::Tensor& x) {
  const RowSequences sequences{{0, rows}, {}};
  const Tensors parts = at::split_with_sizes(
      product(x, w.in), {heads.columns(), values_of(heads), heads.value_heads, heads.value_heads}, 1);
  const at::Tensor beta = at::sigmoid(parts[2].to(at::kFloat));
  const at::Tensor decay = -at::softplus(parts[3].to(at::kFloat) + w.step) * 0.1;
  const at::Tensor read = delta_rule(causal_conv(parts[0], w.convolution, sequences, {}, true), decay, beta,
                                     heads, sequences, {});
  return product(gated_norm(read, parts[1], w.norm, epsilon), w.out);
}

}  // namespace

std::vector<KernelCase> gated_delta_net_cases() {
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    const auto prepare = [type] {
      const LayerWeights weights = weights_in(type);
      return DifferentiableOp{
          {random_leaf({rows, hidden}, type), random_leaf({rows, values_of(heads)}, type)},
          [=](const Tensors& in) { return Tensors{layer(weights, in[0])}; },
          [=](const Tensors& in) {
            return Tensors{product(in[0], weights.in), product(in[1], weights.out)};
          },
          false};
    };
    const double values = hidden * (heads.columns() + 2 * values_of(heads) + 2 * heads.value_heads);
    const Work work = products(type, 2 * rows * values);
    for (KernelCase& kernel : both_directions("gated_delta_net_layer", type, work, work, prepare))
      cases.push_back(std::move(kernel));
  }
  return cases;
}

}  // namespace lowrank
