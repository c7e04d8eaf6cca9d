// NF4 against bitsandbytes' own vectors, by its properties, and its expansion bit for bit against the
// reference on every Highway target that this machine has.
#include "kernels/products/nf4.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "kernels/highway_target.h"
#include "support/places.h"

namespace lowrank {
namespace {

at::Tensor expanded(const Nf4& quantised, const at::Tensor& like) {
  at::Tensor out = at::empty_like(like);
  expand_nf4(quantised, dynamic_map(), 0, out);
  return out;
}

TEST(Nf4, IsBitsandbytesBitForBit) {
  const SafetensorsFile file = SafetensorsFile::open(test::fixture("golden/nf4/nf4.safetensors"));
  const auto stored = [&](const char* name, at::ScalarType type) {
    const StoredTensor& tensor = *file.find(name);
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, type).clone();
  };
  const at::Tensor weight = stored("weight", at::kFloat);
  const Nf4 ours = quantise_nf4(weight);
  EXPECT_TRUE(at::equal(dynamic_map(), stored("nested_code", at::kFloat)));
  EXPECT_TRUE(at::equal(ours.packed, stored("nested_packed", at::kByte).flatten()));
  EXPECT_TRUE(at::equal(ours.scale_indices, stored("nested_absmax_u8", at::kByte)));
  EXPECT_TRUE(at::equal(ours.scale_scales, stored("nested_absmax2", at::kFloat)));
  EXPECT_EQ(static_cast<float>(ours.offset), stored("nested_offset", at::kFloat).item<float>());
  EXPECT_TRUE(at::equal(expanded(ours, weight), stored("nested_dequant", at::kFloat)));
  at::Tensor plain = at::empty_like(weight);
  expand_nf4(stored("packed", at::kByte).flatten(), stored("absmax", at::kFloat), 64, 0, plain);
  EXPECT_TRUE(at::equal(plain, stored("dequant", at::kFloat)));
}

TEST(Nf4, OddCountsShortBlocksAndZerosComeBack) {
  const at::Tensor values = at::randn({131});
  const at::Tensor back = expanded(quantise_nf4(values), values);
  EXPECT_LT(at::max(at::abs(back - values)).item<double>(), 0.2 * at::max(at::abs(values)).item<double>());
  const at::Tensor zeros = at::zeros({64});
  EXPECT_TRUE(at::equal(expanded(quantise_nf4(zeros), zeros), zeros));
}

TEST(Nf4, PartsAreThoseOfTheWhole) {
  const at::Tensor values = at::randn({10, 40});
  const Nf4 quantised = quantise_nf4(values);
  const at::Tensor whole = expanded(quantised, values);
  at::Tensor rows = at::zeros({3, 40});
  expand_nf4(quantised, dynamic_map(), 3 * 40, rows);
  EXPECT_TRUE(at::equal(rows, whole.narrow(0, 3, 3)));
}

class Nf4Expansion : public OnTarget<int64_t> {};

TEST_P(Nf4Expansion, IsTheReferencesBits) {
  constexpr int64_t count = 3000;
  const at::Tensor packed = at::randint(256, {count / 2}, at::kByte);
  for (const int64_t block : {1, 3, 16, 24, 64, 128, 2048, 4096}) {
    const at::Tensor scales = at::randn({(count + block - 1) / block});
    for (const int64_t begin : {0, 1, 2, 7, 63, 64, 65, 1000}) {
      for (const int64_t values : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129, 1999}) {
        for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
          // A guard on each side detects writes outside the values.
          at::Tensor ours = at::zeros({values + 2}, type), expected = at::zeros({values + 2}, type);
          at::Tensor inside = ours.narrow(0, 1, values), wanted = expected.narrow(0, 1, values);
          expand_nf4(packed, scales, block, begin, inside);
          expand_nf4_reference(packed, scales, block, begin, wanted);
          ASSERT_TRUE(at::equal(ours, expected)) << block << " " << begin << " " << values << " " << type;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, Nf4Expansion, testing::ValuesIn(compiled_targets()),
                         [](const auto& test) { return target_name(test.param); });

}  // namespace
}  // namespace lowrank
