#include "kernels/products/low_rank_fused.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"
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

/// The patches for the same rows of x.
struct Group {
  int64_t begin = 0, rows = 0;
  std::vector<size_t> members = {};  ///< which of the patches
  std::shared_ptr<const StackedFactors> stacked = nullptr;
  at::Tensor xa = {};  ///< [rows, R]

  at::Tensor rows_of(const at::Tensor& all) const { return all.narrow(0, begin, rows); }
};

/// The groups of patches for `rows` rows, in the rows' order; none if two of them share rows.
std::vector<Group> groups_of(const std::vector<Patch>& patches, int64_t rows) {
  std::vector<Group> groups;
  for (size_t i = 0; i < patches.size(); ++i) {
    const int64_t begin = std::min(patches[i].first_token, rows);
    const int64_t count = std::max(begin, std::min(patches[i].end_token, rows)) - begin;
    const auto same = [&](const Group& group) { return group.begin == begin && group.rows == count; };
    auto found = std::ranges::find_if(groups, same);
    if (found == groups.end()) found = groups.insert(groups.end(), Group{begin, count});
    found->members.push_back(i);
  }
  std::ranges::sort(groups, {}, &Group::begin);
  for (size_t i = 1; i < groups.size(); ++i) {
    if (groups[i].begin < groups[i - 1].begin + groups[i - 1].rows) return {};
  }
  return groups;
}

int64_t rank_of(const std::vector<Patch>& patches, const Group& group) {
  int64_t rank = 0;
  for (const size_t member : group.members) rank += patches[member].A.size(0);
  return rank;
}

std::vector<Patch> patches_of(const std::vector<Patch>& patches, const Group& group) {
  std::vector<Patch> own;
  for (const size_t member : group.members) own.push_back(patches[member]);
  return own;
}

struct LowRankFusedBackward : Node {
  std::shared_ptr<const PreparedWeight> weight;
  std::vector<Patch> patches;  ///< see differentiated_inputs
  at::Tensor x;                ///< [T, in]
  std::vector<Group> groups;

  void release_variables() override {
    groups.clear();
    x.reset();
  }

  void add_gradients(const Group& group, const at::Tensor& dy, GradientList& out) {
    StackedFactors factors = *group.stacked;
    for (size_t i = 0; i < group.members.size(); ++i) {
      factors.parts[i].wants_a = task_should_compute_output(1 + 2 * group.members[i]);
      factors.parts[i].wants_b = task_should_compute_output(2 + 2 * group.members[i]);
    }
    const at::Tensor own_x = group.rows_of(x), own_dy = group.rows_of(dy);
    const at::Tensor dx = out[0].defined() ? group.rows_of(out[0]) : at::Tensor();
    const at::Tensor all = gradients_of(own_x, group.xa, own_dy, factors, dx);
    if (ProfileScope::active())
      ProfileScope::add_product(factors.backward_flops(group.rows, dx.defined()),
                                [=, xa = group.xa] { gradients_of(own_x, xa, own_dy, factors, dx); });
    int64_t from = factors.a.numel();
    for (size_t i = 0; i < group.members.size(); ++i) {
      const LowRankPart& part = factors.parts[i];
      const size_t place = 1 + 2 * group.members[i];
      const int64_t width = part.end - part.begin;
      if (part.wants_a)
        out[place] = all.narrow(0, part.row * x.size(1), part.rank * x.size(1)).view({part.rank, x.size(1)});
      if (part.wants_b)
        out[place + 1] = all.narrow(0, from, part.rank * width)
                             .view({part.rank, width})
                             .t()
                             .mul(patches[group.members[i]].scale);
      from += part.rank * width;
    }
  }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(1 + 2 * patches.size());
    if (!gradients[0].defined()) return out;
    const at::Tensor dy = gradients[0].contiguous();
    if (task_should_compute_output(0)) out[0] = weight->input_gradient(dy);
    for (const Group& group : groups) add_gradients(group, dy, out);
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
  if (!on_cpu(x) || (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16)) return false;
  const std::vector<Group> groups = groups_of(patches, x.size(0));
  return !groups.empty() && std::ranges::all_of(patches, fits) &&
         std::ranges::all_of(groups,
                             [&](const Group& group) { return rank_of(patches, group) <= max_low_rank; });
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
  std::vector<Group> groups = groups_of(patches, x.size(0));
  for (Group& group : groups) {
    group.stacked = stacked_factors(groups.size() == 1 ? patches : patches_of(patches, group), stacks);
    const at::Tensor own = group.rows_of(input);
    at::Tensor added = group.rows_of(y);
    group.xa = add_terms(own, *group.stacked, added);
    if (ProfileScope::active())
      ProfileScope::add_product(group.stacked->forward_flops(group.rows),
                                [=, stacked = group.stacked]() mutable { add_terms(own, *stacked, added); });
  }
  if (!node) return y;
  node->weight = std::move(weight);
  node->patches = std::move(patches);
  node->x = input.detach();
  node->groups = std::move(groups);
  connect(y, node);
  return y;
}

}  // namespace lowrank
