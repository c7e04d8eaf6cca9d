#include "kernels/products/low_rank_terms.h"

#include <algorithm>

#include <ATen/ops/mul.h>

#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/op_profile.h"
#include "kernels/core/parallel.h"
#include "kernels/products/cpu/low_rank_terms_cpu.h"

namespace lowrank {
namespace {

constexpr int64_t rows_per_task = 4;

void run(const LowRankTerms& op, int64_t tokens) {
  parallel_for(0, tokens, rows_per_task,
               [&](int64_t begin, int64_t end) { low_rank_terms_cpu(op, begin, end); });
}

}  // namespace

bool fits_low_rank_terms(const at::Tensor& x, const std::vector<Patch>& patches) {
  const auto fits = [](const Patch& patch) {
    return only_factors(patch) && patch.dropout.p == 0 && patch.A.scalar_type() == at::kFloat &&
           patch.B.scalar_type() == at::kFloat && !needs_gradient(patch.A, patch.B);
  };
  return on_cpu(x) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         !needs_gradient(x) && std::ranges::all_of(patches, fits);
}

void add_low_rank_terms(const at::Tensor& x, const std::vector<Patch>& patches, at::Tensor& y) {
  std::vector<at::Tensor> kept;
  std::vector<LowRankGroup> groups;
  double flops = 0;
  for (const Patch& patch : patches) {
    const at::Tensor a = patch.A.contiguous();
    LowRankGroup group{patch.first_token, std::min(patch.end_token, x.size(0)),
                       patch.begin,       patch.end,
                       a.size(0),         a.const_data_ptr<float>()};
    const at::Tensor b =
        patch.scaled_b.defined() ? patch.scaled_b : at::mul(patch.B, patch.scale).t().contiguous();
    kept.insert(kept.end(), {a, b});
    group.b = b.const_data_ptr<float>();
    flops += 2.0 * static_cast<double>(group.end_token - group.first_token) *
             static_cast<double>(a.numel() + b.numel());
    groups.push_back(group);
  }
  const LowRankTerms op{x.const_data_ptr(),
                        y.mutable_data_ptr(),
                        x.size(1),
                        y.size(1),
                        groups,
                        x.scalar_type() == at::kBFloat16};
  run(op, x.size(0));
  if (!ProfileScope::active()) return;
  ProfileScope::add_product(flops, [=, tokens = x.size(0), kept = std::move(kept)]() mutable {
    LowRankTerms again = op;
    again.groups = groups;
    run(again, tokens);
  });
}

}  // namespace lowrank
