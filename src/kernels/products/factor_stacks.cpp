#include "kernels/products/factor_stacks.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

namespace lowrank {
namespace {

bool is_leaf(const Patch& patch) {
  return patch.A.is_leaf() && patch.B.is_leaf();
}

bool same_factors(const Patch& one, const Patch& other) {
  return one.A.is_same(other.A) && one.B.is_same(other.B) && one.scale == other.scale &&
         one.begin == other.begin && one.end == other.end;
}

}  // namespace

StackedFactors::StackedFactors(const std::vector<Patch>& patches,
                               const std::function<at::Tensor(int64_t)>& allocate) {
  std::vector<at::Tensor> all;
  int64_t numbers = 0;
  for (const Patch& patch : patches) {
    all.push_back(patch.A.detach());
    parts.push_back({patch.begin, patch.end, patch.A.size(0), rank});
    rank += patch.A.size(0);
    numbers += patch.B.numel();
  }
  if (all.size() == 1) {
    a = all.front().contiguous();
  } else {
    const int64_t columns = all.front().size(1);
    a = allocate(rank * columns).view({rank, columns});
    at::cat_out(a, all);
  }
  b = allocate(numbers);
  float* to = b.mutable_data_ptr<float>();
  for (size_t i = 0; i < parts.size(); ++i) {
    const LowRankPart& part = parts[i];
    const at::Tensor factor = patches[i].B.detach().contiguous();
    const float* from = factor.const_data_ptr<float>();
    const auto scale = static_cast<float>(patches[i].scale);
    const int64_t width = part.end - part.begin;
    for (int64_t column = 0; column < width; ++column)
      for (int64_t r = 0; r < part.rank; ++r) to[r * width + column] = scale * from[column * part.rank + r];
    parts[i].b = to;
    to += factor.numel();
  }
}

double StackedFactors::forward_flops(int64_t rows) const {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(a.numel() + b.numel());
}

double StackedFactors::backward_flops(int64_t rows, bool wants_input) const {
  int64_t numbers = wants_input ? a.numel() : 0;
  for (const LowRankPart& part : parts) {
    const int64_t outer = part.rank * (part.end - part.begin);
    if (wants_input || part.wants_a) numbers += outer;
    if (part.wants_b) numbers += outer;
    if (part.wants_a) numbers += part.rank * a.size(1);
  }
  return 2.0 * static_cast<double>(rows) * static_cast<double>(numbers);
}

FactorStacks::FactorStacks(int64_t capacity) : buffer_(at::empty({capacity}, at::kFloat)) {}

std::shared_ptr<const StackedFactors> FactorStacks::of(const std::vector<Patch>& patches) {
  if (!std::ranges::all_of(patches, is_leaf)) return stacked_factors(patches, nullptr);
  Entry& entry = by_first_[patches.front().A.const_data_ptr()];
  if (!entry.factors || !std::ranges::equal(entry.patches, patches, same_factors)) {
    const auto allocate = [this](int64_t count) { return take(count); };
    entry = {patches, std::make_shared<const StackedFactors>(patches, allocate)};
  }
  return entry.factors;
}

void FactorStacks::clear() {
  by_first_.clear();
  used_ = 0;
}

at::Tensor FactorStacks::take(int64_t count) {
  constexpr int64_t line = 16;  // values per cache line
  const int64_t begin = (used_ + line - 1) / line * line;
  if (count > buffer_.numel() - begin) return at::empty({count}, at::kFloat);
  used_ = begin + count;
  return buffer_.narrow(0, begin, count);
}

std::shared_ptr<const StackedFactors> stacked_factors(const std::vector<Patch>& patches,
                                                      FactorStacks* stacks) {
  if (stacks) return stacks->of(patches);
  return std::make_shared<const StackedFactors>(patches,
                                                [](int64_t count) { return at::empty({count}, at::kFloat); });
}

}  // namespace lowrank
