#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lowrank {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four words from a key
/// and a counter, the same on every machine.
constexpr std::array<uint32_t, 4> philox(uint64_t key, std::array<uint32_t, 4> counter) {
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53U} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return counter;
}

/// A seed derived from a seed and two numbers (an epoch, a position, …); different arguments give unrelated
/// seeds.
inline uint64_t derive_seed(uint64_t seed, uint64_t first, uint64_t second = 0) {
  const auto words = philox(seed, {static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32),
                                   static_cast<uint32_t>(second), static_cast<uint32_t>(second >> 32)});
  return uint64_t{words[0]} << 32 | words[1];
}

/// A sequence of random numbers, a function of (seed, stream) alone.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next();
  /// Uniform in [0, 1), 24 bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-24F; }
  /// Standard normal (Box-Muller).
  float normal();
  /// Uniform in [0, n), without bias. n > 0.
  uint64_t below(uint64_t n);

 private:
  uint64_t seed_, stream_;
  uint64_t block_ = 0;
  std::array<uint32_t, 4> words_{};
  unsigned left_ = 0;
};

/// Fisher-Yates with `random`.
void shuffle(std::span<int64_t> values, Philox& random);

}  // namespace lowrank
