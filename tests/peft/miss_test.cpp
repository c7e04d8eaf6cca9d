// MiSS: W + M^T tiled over the input; the variants mini and bat.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Miss, MergesByItsFormula) {
  const test::MethodFormula miss("miss", {{"rank", 5}});
  const at::Tensor m = miss.parameter("q_proj", "miss_block");
  at::Tensor expected = miss.weight("q_proj").clone();
  for (int64_t i = 0; i < 32; ++i) expected.select(1, i).add_(m[i % 5]);
  miss.expect_merged("q_proj", expected);
}

TEST(Miss, MiniRepeatsItsColumns) {
  const test::MethodFormula miss("miss", {{"rank", 4}, {"variant", "mini"}, {"mini_r", 8}});
  const at::Tensor m = miss.parameter("v_proj", "miss_block");
  EXPECT_EQ(m.sizes().vec(), (std::vector<int64_t>{4, 8}));
  at::Tensor expected = miss.weight("v_proj").clone();
  for (int64_t o = 0; o < 16; ++o) {
    for (int64_t i = 0; i < 32; ++i) expected[o][i] += m[i % 4][o % 8];
  }
  miss.expect_merged("v_proj", expected);
}

TEST(Miss, BatMixesBlocksOfTheWeight) {
  const test::MethodFormula miss("miss", {{"rank", 4}, {"variant", "bat"}});
  const at::Tensor m = miss.parameter("q_proj", "miss_block"), w = miss.weight("q_proj");
  at::Tensor expected = w.clone();
  for (int64_t p = 0; p < 8; ++p) {
    for (int64_t q = 0; q < 8; ++q) {
      const at::Tensor block = w.narrow(0, 4 * p, 4).narrow(1, 4 * q, 4);
      expected.narrow(0, 4 * p, 4).narrow(1, 4 * q, 4).add_(at::mm(block, m[p]) + m[p]);
    }
  }
  miss.expect_merged("q_proj", expected);
}

}  // namespace
}  // namespace lowrank
