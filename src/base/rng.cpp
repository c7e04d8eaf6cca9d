#include "base/rng.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace lowrank {

uint32_t Philox::next() {
  if (left_ == 0) {
    words_ = philox(seed_, {static_cast<uint32_t>(block_), static_cast<uint32_t>(block_ >> 32),
                            static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)});
    ++block_;
    left_ = 4;
  }
  return words_[4 - left_--];
}

float Philox::normal() {
  const float radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi_v<float> * uniform());
}

uint64_t Philox::below(uint64_t n) {
  // Draws beyond the last whole multiple of n would favour small values.
  const uint64_t limit = n * (UINT64_MAX / n);
  while (true) {
    const uint64_t high = next();
    const uint64_t draw = high << 32 | next();
    if (draw < limit) return draw % n;
  }
}

void shuffle(std::span<int64_t> values, Philox& random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

}  // namespace lowrank
