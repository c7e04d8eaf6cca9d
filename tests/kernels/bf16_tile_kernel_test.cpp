// The product by tiles, on every processor that has bf16 dot products: the instructions of tiles are computed
// here as Intel defines them, and what they forbid is an error. The memory around the operands is NaN.
#include <cstring>
#include <limits>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "kernels/core/parallel.h"
#include "kernels/products/cpu/bf16_product_amx.h"
#include "kernels/products/panel_product.h"
#include "kernels/tensor_error.h"
#if defined(__x86_64__)
#include "kernels/products/cpu/bf16_tile_kernel.h"
#endif

namespace lowrank {
namespace {

constexpr double one_rounding = 1.0 / 256 + 1e-4;

#if defined(__x86_64__)

float from_bf16(uint16_t bits) {
  const auto wide = static_cast<uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

struct Tile {
  int rows = 0, bytes = 0;
  char data[amx_tile_rows][amx_row_bytes] = {};

  template <class T>
  T at(int row, int column) const {
    T value;
    std::memcpy(&value, data[row] + column * sizeof(T), sizeof(T));
    return value;
  }
};

/// The values of a tile of bf16.
struct Values {
  float value[amx_tile_rows][amx_row_bytes / 2] = {};

  explicit Values(const Tile& tile) {
    for (int row = 0; row < tile.rows; ++row)
      for (int i = 0; i < tile.bytes / 2; ++i) value[row][i] = from_bf16(tile.at<uint16_t>(row, i));
  }
};

class ComputedTiles {
 public:
  void configure(int upper, int lower) {
    // As the processor reads the 64 bytes: the palette, 14 reserved from the third on, bytes of rows, rows.
    const TileConfiguration all(upper, lower);
    unsigned char bytes[64];
    std::memcpy(bytes, &all, sizeof(bytes));
    EXPECT_EQ(bytes[0], 1);
    for (int i = 1; i < 16; ++i) EXPECT_EQ(bytes[i], 0);
    for (int i = 0; i < 8; ++i) {
      const int row_bytes = bytes[16 + 2 * i] + 256 * bytes[17 + 2 * i], rows = bytes[48 + i];
      EXPECT_TRUE(rows <= 16 && row_bytes <= 64 && (rows == 0) == (row_bytes == 0)) << i;
      tiles_[i] = Tile{.rows = rows, .bytes = row_bytes};
    }
    for (int i = 8; i < 16; ++i) EXPECT_EQ(bytes[16 + 2 * i] + bytes[17 + 2 * i] + bytes[48 + i], 0);
  }

  template <int tile>
  void zero() {
    used(tile);
    std::memset(tiles_[tile].data, 0, sizeof(Tile::data));
  }

  template <int tile>
  void load(const void* from, int64_t stride) {
    Tile& to = used(tile);
    for (int row = 0; row < to.rows; ++row)
      std::memcpy(to.data[row], static_cast<const char*>(from) + row * stride, to.bytes);
  }

  template <int tile>
  void store(void* to, int64_t stride) {
    const Tile& from = used(tile);
    for (int row = 0; row < from.rows; ++row)
      std::memcpy(static_cast<char*>(to) + row * stride, from.data[row], from.bytes);
  }

  template <int sums, int x, int panel>
  void multiply_add() {
    Tile& to = used(sums);
    const Tile &a = used(x), &b = used(panel);
    if (to.rows != a.rows || a.bytes != 4 * b.rows || to.bytes != b.bytes)
      ADD_FAILURE() << "sizes of tiles do not match";
    const Values left(a), right(b);
    for (int m = 0; m < to.rows; ++m) {
      for (int n = 0; n < to.bytes / 4; ++n) {
        auto sum = to.at<float>(m, n);
        for (int k = 0; k < a.bytes / 4; ++k) {
          sum += left.value[m][2 * k] * right.value[k][2 * n];
          sum += left.value[m][2 * k + 1] * right.value[k][2 * n + 1];
        }
        std::memcpy(to.data[m] + 4 * n, &sum, sizeof(sum));
      }
    }
  }

 private:
  Tile& used(int tile) {
    if (tiles_[tile].rows == 0) ADD_FAILURE() << "tile " << tile << " is used and has no rows";
    return tiles_[tile];
  }

  Tile tiles_[8];
};

at::Tensor by_computed_tiles(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  return panel_product<uint16_t>(
      x, w, bias, bf16_panel_columns,
      [](const Bf16Product& product, int64_t row, int64_t last_row, int64_t panel, int64_t last) {
        PanelWorker<TileKernel<ComputedTiles>>(product, row, last_row).run(panel, last);
      });
}

/// Random values surrounded by NaN.
at::Tensor amid_nan(int64_t rows, int64_t columns) {
  at::Tensor around =
      at::full({rows + 2, columns + 6}, std::numeric_limits<double>::quiet_NaN(), at::kBFloat16);
  at::Tensor inside = around.narrow(0, 1, rows).narrow(1, 3, columns);
  return inside.copy_(at::randn({rows, columns}));
}

at::Tensor in_double(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  const at::Tensor y = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
  return bias.defined() ? y + bias.to(at::kDouble) : y;
}

class Bf16TileKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_avx512bf16())
      GTEST_SKIP() << "no dot products of bf16: the processor has " << describe(detect_cpu())
                   << ", LOWRANK_CPU is " << cpu_level();
  }
};

TEST_F(Bf16TileKernelTest, EqualsDoubleAtAllSizes) {
  for (const int64_t rows : {1, 15, 16, 17, 31, 32, 33, 80}) {
    for (const int64_t inner : {2, 30, 32, 34, 66, 768, 770, 1600}) {
      for (const int64_t outputs : {1, 31, 32, 33, 100}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}", rows, inner, outputs));
        const at::Tensor x = amid_nan(rows, inner), bias = at::randn({outputs});
        const at::Tensor w = amid_nan(outputs, inner), transposed = amid_nan(inner, outputs).t();
        EXPECT_LT(relative(by_computed_tiles(x, w, {}), in_double(x, w, {})), one_rounding);
        EXPECT_LT(relative(by_computed_tiles(x, transposed, bias), in_double(x, transposed, bias)),
                  one_rounding);
      }
    }
  }
}

/// Sums of many panels wait for their next chunk.
TEST_F(Bf16TileKernelTest, EqualsDoubleWhereTheInnerSizeIsLong) {
  const at::Tensor x = amid_nan(300, 800), w = amid_nan(800, 500).t();
  EXPECT_LT(relative(by_computed_tiles(x, w, {}), in_double(x, w, {})), one_rounding);
}

#endif

TEST(Bf16TileTest, TheProcessorsTilesEqualDouble) {
  if (!has_amx_bf16())
    GTEST_SKIP() << "no bf16 tiles: the processor has " << describe(detect_cpu()) << ", LOWRANK_CPU is "
                 << cpu_level();
#if defined(__x86_64__)
  const auto by_tiles = [](const at::Tensor& x, const at::Tensor& w) {
    return panel_product<uint16_t>(x, w, {}, bf16_panel_columns, bf16_product_amx);
  };
  for (const auto& [rows, inner, outputs] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 2, 1}, {31, 66, 33}, {300, 1700, 777}}) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", rows, inner, outputs));
    const at::Tensor x = amid_nan(rows, inner), w = amid_nan(outputs, inner),
                     transposed = amid_nan(inner, outputs).t();
    EXPECT_LT(relative(by_tiles(x, w), in_double(x, w, {})), one_rounding);
    EXPECT_LT(relative(by_tiles(x, transposed), in_double(x, transposed, {})), one_rounding);
  }
#endif
}

}  // namespace
}  // namespace lowrank
