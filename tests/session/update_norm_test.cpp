// The norm that `lowrank adapters list` takes from a base's weights.
#include "session/adapters/update_norm.h"

#include <gtest/gtest.h>

#include "peft/algebra/comparison.h"
#include "support/places.h"

namespace lowrank {
namespace {

TEST(UpdateNorm, OfMergedWeightsIsThatOfTheFactors) {
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const std::filesystem::path path = test::fixture("combined") / "patterns";
  const Adapter adapter = load_adapter(path, *base);
  const FactoredAdapter factors = factors_of(read_adapter(path, base->spec()));
  EXPECT_NEAR(*norm_of_update(adapter, *base), compare(factors, factors).norm, 1e-5);
}

}  // namespace
}  // namespace lowrank
