#include "formats/k_quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/finite.h"
#include "base/half.h"
#include "formats/blocks/block_bytes.h"

namespace lowrank {
namespace {

constexpr int block_values = 256;

/// x ~ scale q - minimum, or scale q without one.
struct Fit {
  float scale = 0, minimum = 0;
};

int nearest(float value, int least, int most) {
  return std::clamp(static_cast<int>(std::lround(value)), least, most);
}

/// The least-squares scale and minimum for fixed whole numbers; a minimum below 0 counts as 0.
Fit solved(std::span<const float> x, std::span<const int> q) {
  double sum_x = 0, sum_q = 0, sum_qq = 0, sum_xq = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum_x += x[i];
    sum_q += q[i];
    sum_qq += static_cast<double>(q[i]) * q[i];
    sum_xq += double{x[i]} * q[i];
  }
  const auto n = static_cast<double>(x.size());
  const double determinant = n * sum_qq - sum_q * sum_q;
  if (determinant > 0) {
    const double scale = (n * sum_xq - sum_q * sum_x) / determinant;
    const double minimum = (scale * sum_q - sum_x) / n;
    if (minimum >= 0) return {static_cast<float>(scale), static_cast<float>(minimum)};
  }
  return {static_cast<float>(sum_qq > 0 ? sum_xq / sum_qq : 0), 0};
}

double error_of(std::span<const float> x, std::span<const int> q, const Fit& fit) {
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = double{fit.scale} * q[i] - fit.minimum - x[i];
    error += off * off;
  }
  return error;
}

/// The best of several assignments: the range is taken a little smaller and larger than it is.
Fit fit_with_minimum(std::span<const float> x, int levels) {
  const float low = std::min(0.0F, std::ranges::min(x));
  const float high = std::ranges::max(x);
  if (high <= low) return {0, -low};
  Fit best{(high - low) / static_cast<float>(levels), -low};
  double least = std::numeric_limits<double>::infinity();
  std::array<int, 32> q{};
  const std::span<int> used(q.data(), x.size());
  for (int step = -10; step <= 10; ++step) {
    const float inverse = (static_cast<float>(levels) + 0.1F * static_cast<float>(step)) / (high - low);
    if (!std::isfinite(inverse)) continue;
    for (size_t i = 0; i < x.size(); ++i) used[i] = nearest((x[i] - low) * inverse, 0, levels);
    const Fit fit = solved(x, used);
    const double error = error_of(x, used, fit);
    if (fit.scale <= 0 || error >= least) continue;
    least = error;
    best = fit;
  }
  return best;
}

/// The same for q from -32 to 31, without a minimum; the value of largest magnitude gets about -32.
float fit_signed(std::span<const float> x) {
  const float largest = *std::ranges::max_element(x, {}, [](float value) { return std::fabs(value); });
  if (largest == 0) return 0;
  float best = largest / -32.0F;
  double least = std::numeric_limits<double>::infinity();
  std::array<int, 16> q{};
  for (int step = -10; step <= 10; ++step) {
    const float inverse = -(32.0F + 0.1F * static_cast<float>(step)) / largest;
    if (!std::isfinite(inverse)) continue;
    double sum_xq = 0, sum_qq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      q[i] = nearest(x[i] * inverse, -32, 31);
      sum_xq += double{x[i]} * q[i];
      sum_qq += static_cast<double>(q[i]) * q[i];
    }
    if (sum_qq == 0) continue;
    const Fit fit{static_cast<float>(sum_xq / sum_qq), 0};
    const double error = error_of(x, q, fit);
    if (error >= least) continue;
    least = error;
    best = fit.scale;
  }
  return best;
}

int quotient(float value, float unit, int least, int most) {
  return unit == 0 ? 0 : nearest(value / unit, least, most);
}

void quantise_q4_k(const float* x, std::byte* out) {
  std::array<Fit, 8> fits;
  float scale = 0, minimum = 0;
  for (int run = 0; run < 8; ++run) {
    fits[run] = fit_with_minimum({x + 32 * run, 32}, 15);
    scale = std::max(scale, fits[run].scale);
    minimum = std::max(minimum, fits[run].minimum);
  }
  const float d = put_half(scale / 63.0F, out);
  const float m = put_half(minimum / 63.0F, out + 2);
  std::array<uint8_t, 12> packed{};
  std::array<uint8_t, block_values> q{};
  for (int run = 0; run < 8; ++run) {
    const int s = quotient(fits[run].scale, d, 0, 63);
    const int t = quotient(fits[run].minimum, m, 0, 63);
    if (run < 4) {
      packed[run] = static_cast<uint8_t>(packed[run] | s);
      packed[run + 4] = static_cast<uint8_t>(packed[run + 4] | t);
    } else {
      packed[run + 4] = static_cast<uint8_t>((s & 15) | ((t & 15) << 4));
      packed[run - 4] = static_cast<uint8_t>(packed[run - 4] | ((s >> 4) << 6));
      packed[run] = static_cast<uint8_t>(packed[run] | ((t >> 4) << 6));
    }
    for (int i = 32 * run; i < 32 * (run + 1); ++i) {
      q[i] =
          static_cast<uint8_t>(quotient(x[i] + m * static_cast<float>(t), d * static_cast<float>(s), 0, 15));
    }
  }
  std::memcpy(out + 4, packed.data(), packed.size());
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i)
      out[16 + 32 * pair + i] = static_cast<std::byte>(q[64 * pair + i] | (q[64 * pair + 32 + i] << 4));
  }
}

void quantise_q6_k(const float* x, std::byte* out) {
  std::array<float, 16> scales;
  for (int run = 0; run < 16; ++run) scales[run] = fit_signed({x + 16 * run, 16});
  const float largest = *std::ranges::max_element(scales, {}, [](float value) { return std::fabs(value); });
  const float d = put_half(largest / -128.0F, out + 208);
  std::array<uint8_t, block_values> q{};
  for (int run = 0; run < 16; ++run) {
    const int s = quotient(scales[run], d, -128, 127);
    out[192 + run] = static_cast<std::byte>(s);
    for (int i = 16 * run; i < 16 * (run + 1); ++i)
      q[i] = static_cast<uint8_t>(quotient(x[i], d * static_cast<float>(s), -32, 31) + 32);
  }
  for (int half = 0; half < 2; ++half) {
    const uint8_t* rows = q.data() + 128 * half;
    for (int i = 0; i < 64; ++i)
      out[64 * half + i] = static_cast<std::byte>((rows[i] & 15) | ((rows[64 + i] & 15) << 4));
    for (int i = 0; i < 32; ++i) {
      out[128 + 32 * half + i] =
          static_cast<std::byte>((rows[i] >> 4) | ((rows[32 + i] >> 4) << 2) | ((rows[64 + i] >> 4) << 4) |
                                 ((rows[96 + i] >> 4) << 6));
    }
  }
}

}  // namespace

bool can_quantise_k(DType dtype) {
  return dtype == DType::q4_k || dtype == DType::q6_k;
}

void quantise_k(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  check(can_quantise_k(dtype), ErrorKind::unsupported, "values cannot be written as {} (Q4_K and Q6_K can)",
        info_of(dtype).name);
  const auto expected = byte_count(dtype, std::ssize(values));
  check(expected && *expected == std::ssize(out), ErrorKind::invalid,
        "{} values do not fill {} bytes of {} in whole blocks", values.size(), out.size(),
        info_of(dtype).name);
  const std::optional<size_t> bad = first_not_finite(values);
  check(!bad, ErrorKind::invalid, "value {} is not finite", bad.value_or(0));
  const int stride = info_of(dtype).block_bytes;
  for (size_t i = 0; i < values.size() / block_values; ++i) {
    const float* x = values.data() + i * block_values;
    dtype == DType::q4_k ? quantise_q4_k(x, out.data() + i * stride)
                         : quantise_q6_k(x, out.data() + i * stride);
  }
}

}  // namespace lowrank
