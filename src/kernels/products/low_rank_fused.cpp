#include "kernels/products/low_rank_fused.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/node.h"
#include "kernels/core/op_profile.h"
#include "kernels/core/parallel.h"
#include "kernels/products/cpu/low_rank_cpu.h"

namespace lowrank {
namespace {

constexpr int64_t rows_per_piece = 32;

/// Returns x A^T [T, R]; adds the patches' terms to y.
at::Tensor add_terms(const at::Tensor& x, const StackedFactors& factors, at::Tensor& y) {
  at::Tensor xa = at::empty({x.size(0), factors.rank}, at::kFloat);
  const LowRankForward op{x.const_data_ptr(),
                          y.mutable_data_ptr(),
                          factors.a.const_data_ptr<float>(),
                          xa.mutable_data_ptr<float>(),
                          x.size(1),
                          y.size(1),
                          factors.rank,
                          factors.parts,
                          x.scalar_type() == at::kBFloat16};
  parallel_for(0, x.size(0), rows_per_piece,
               [&](int64_t begin, int64_t end) { low_rank_forward_cpu(op, begin, end); });
  return xa;
}

/// Returns the gradients of the stacked A and of all s B^T, [R in + sum r (end - begin)], and adds the
/// patches' part to dx [T, in], which may be undefined. Each thread sums its own rows.
at::Tensor gradients_of(const at::Tensor& x, const at::Tensor& xa, const at::Tensor& dy,
                        const StackedFactors& factors, const at::Tensor& dx) {
  const LowRankBackward op{x.const_data_ptr(),
                           dy.const_data_ptr(),
                           dx.defined() ? dx.mutable_data_ptr() : nullptr,
                           factors.a.const_data_ptr<float>(),
                           xa.const_data_ptr<float>(),
                           x.size(1),
                           dy.size(1),
                           factors.rank,
                           factors.parts,
                           x.scalar_type() == at::kBFloat16};
  const int64_t rows = x.size(0);
  const int64_t pieces = std::clamp<int64_t>(rows / rows_per_piece, 1, thread_count());
  const int64_t width = factors.a.numel() + factors.b.numel();
  at::Tensor sums = at::zeros({pieces, width}, at::kFloat);
  parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      float* own = sums.mutable_data_ptr<float>() + piece * width;
      low_rank_backward_cpu(op, own, own + factors.a.numel(), rows * piece / pieces,
                            rows * (piece + 1) / pieces);
    }
  });
  at::Tensor total = sums.select(0, 0);
  for (int64_t piece = 1; piece < pieces; ++piece) total.add_(sums.select(0, piece));
  return total;
}

struct LowRankFusedBackward : Node {
  std::shared_ptr<const PreparedWeight> weight;
  std::vector<Patch> patches;  ///< see differentiated_inputs
  at::Tensor x;                ///< [T, in]
  at::Tensor xa;               ///< [T, R]
  std::shared_ptr<const StackedFactors> stacked;

  void release_variables() override {
    stacked.reset();
    x.reset();
    xa.reset();
  }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(1 + 2 * patches.size());
    if (!gradients[0].defined()) return out;
    const at::Tensor dy = gradients[0].contiguous();
    if (task_should_compute_output(0)) out[0] = weight->input_gradient(dy);
    StackedFactors factors = *stacked;
    for (size_t i = 0; i < patches.size(); ++i) {
      factors.parts[i].wants_a = task_should_compute_output(1 + 2 * i);
      factors.parts[i].wants_b = task_should_compute_output(2 + 2 * i);
    }
    const at::Tensor all = gradients_of(x, xa, dy, factors, out[0]);
    if (ProfileScope::active())
      ProfileScope::add_product(factors.backward_flops(x.size(0), out[0].defined()),
                                [=, x = x, xa = xa, dx = out[0]] { gradients_of(x, xa, dy, factors, dx); });
    int64_t from = factors.a.numel();
    for (size_t i = 0; i < patches.size(); ++i) {
      const LowRankPart& part = factors.parts[i];
      const int64_t width = part.end - part.begin;
      if (part.wants_a)
        out[1 + 2 * i] =
            all.narrow(0, part.row * x.size(1), part.rank * x.size(1)).view({part.rank, x.size(1)});
      if (part.wants_b)
        out[2 + 2 * i] =
            all.narrow(0, from, part.rank * width).view({part.rank, width}).t().mul(patches[i].scale);
      from += part.rank * width;
    }
    return out;
  }
};

}  // namespace

std::vector<at::Tensor> differentiated_inputs(const at::Tensor& x, const std::vector<Patch>& patches) {
  const bool any = needs_gradient(x) || std::ranges::any_of(patches, [](const Patch& patch) {
                     return needs_gradient(patch.A, patch.B);
                   });
  if (!any) return {};
  std::vector<at::Tensor> inputs{x};
  for (const Patch& patch : patches) inputs.insert(inputs.end(), {patch.A, patch.B});
  return inputs;
}

bool fits_low_rank_fused(const at::Tensor& x, const std::vector<Patch>& patches) {
  const auto fits = [](const Patch& patch) {
    return patch.A.scalar_type() == at::kFloat && patch.B.scalar_type() == at::kFloat && patch.dropout.p == 0;
  };
  const int64_t rank = std::transform_reduce(patches.begin(), patches.end(), int64_t{0}, std::plus<>(),
                                             [](const Patch& patch) { return patch.A.size(0); });
  return (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && rank <= max_low_rank &&
         std::ranges::all_of(patches, fits);
}

at::Tensor low_rank_fused(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                          const std::optional<at::Tensor>& bias, std::vector<Patch> patches,
                          FactorStacks* stacks) {
  const std::vector<at::Tensor> inputs = differentiated_inputs(x, patches);
  NodePointer<LowRankFusedBackward> node;
  if (!inputs.empty()) node = make_node<LowRankFusedBackward>(inputs);
  const at::NoGradGuard no_grad;
  const at::Tensor input = x.contiguous();
  at::Tensor y = weight->forward(input, bias);
  std::shared_ptr<const StackedFactors> factors = stacked_factors(patches, stacks);
  at::Tensor xa = add_terms(input, *factors, y);
  if (ProfileScope::active())
    ProfileScope::add_product(factors->forward_flops(x.size(0)),
                              [=]() mutable { add_terms(input, *factors, y); });
  if (!node) return y;
  node->weight = std::move(weight);
  node->patches = std::move(patches);
  node->x = input.detach();
  node->xa = std::move(xa);
  node->stacked = std::move(factors);
  connect(y, node);
  return y;
}

}  // namespace lowrank
