// OFT: blocks of W's columns rotated; the series and the exact rotation.
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

at::Tensor skew_of(const at::Tensor& upper, int64_t k) {
  at::Tensor q = at::zeros({k, k});
  int64_t next = 0;
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = i + 1; j < k; ++j, ++next) {
      q[i][j] = upper[next];
      q[j][i] = -upper[next];
    }
  }
  return q;
}

at::Tensor rotated(const at::Tensor& w, const std::vector<at::Tensor>& blocks) {
  at::Tensor result = w.clone();
  const int64_t k = blocks[0].size(0);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * k;
    result.narrow(1, first, k).copy_(at::mm(w.narrow(1, first, k), blocks[i].t()));
  }
  return result;
}

TEST(Oft, MergesByTheSeries) {
  const test::MethodFormula oft("oft", {{"oft_block_size", 8}});
  const at::Tensor upper = oft.parameter("q_proj", "oft_R.weight");
  std::vector<at::Tensor> blocks;
  for (int64_t i = 0; i < 4; ++i) {
    const at::Tensor q = skew_of(upper[i], 8), q2 = at::mm(q, q);
    blocks.push_back(at::eye(8) + 2 * q + 2 * q2 + 2 * at::mm(q2, q) + at::mm(q2, q2));
  }
  oft.expect_merged("q_proj", rotated(oft.weight("q_proj"), blocks));
}

TEST(Oft, MergesByTheExactRotation) {
  const test::MethodFormula oft(
      "oft", {{"oft_block_size", 16}, {"use_cayley_neumann", false}, {"block_share", true}});
  const at::Tensor q = skew_of(oft.parameter("v_proj", "oft_R.weight")[0], 16);
  const at::Tensor r = at::mm(at::eye(16) - q, at::linalg_inv(at::eye(16) + q));
  oft.expect_merged("v_proj", rotated(oft.weight("v_proj"), {r, r}));
}

TEST(Oft, ASizeThatDoesNotDivideBecomesTheNearestThatDoes) {
  const test::MethodFormula by_size("oft", {{"oft_block_size", 12}});
  EXPECT_EQ(by_size.parameter("q_proj", "oft_R.weight").sizes().vec(), (std::vector<int64_t>{4, 28}));
  const test::MethodFormula by_count("oft", {{"oft_block_size", 0}, {"rank", 3}});
  EXPECT_EQ(by_count.parameter("q_proj", "oft_R.weight").sizes().vec(), (std::vector<int64_t>{2, 120}));
  EXPECT_THROW(test::MethodFormula("oft", {{"rank", 3}}), Error);
}

}  // namespace
}  // namespace lowrank
