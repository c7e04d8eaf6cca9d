#include "machine_limit.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <ATen/ops/full.h>
#include <fmt/format.h>

#include "base/cpu_features.h"
#include "base/process.h"
#include "kernels/core/parallel.h"
#include "multiply_adds.h"

namespace lowrank {
namespace {

constexpr int64_t bytes_per_piece = 1 << 15;

std::function<void()> one_copy(int64_t half) {
  const at::Tensor from = at::full({half}, 1, at::kByte), to = at::full({half}, 0, at::kByte);
  return [from, to, half] {
    const auto* source = from.const_data_ptr<uint8_t>();
    auto* target = to.mutable_data_ptr<uint8_t>();
    parallel_for(0, half, bytes_per_piece, [&](int64_t begin, int64_t end) {
      std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
    });
  };
}

/// Where buffers lie in memory decides how many of their lines share places in a cache: the quickest of
/// several pairs.
std::function<void()> quickest_copy(int64_t half) {
  constexpr int pairs = 4, turns = 5, calls = 8;
  std::vector<std::function<void()>> copies;
  for (int i = 0; i < pairs; ++i) copies.push_back(one_copy(half));
  std::vector<double> seconds(pairs, std::numeric_limits<double>::infinity());
  for (int turn = 0; turn < turns; ++turn) {
    for (int i = 0; i < pairs; ++i) {
      const double start = monotonic_seconds();
      for (int call = 0; call < calls; ++call) copies[i]();
      seconds[i] = std::min(seconds[i], monotonic_seconds() - start);
    }
  }
  return copies[std::ranges::min_element(seconds) - seconds.begin()];
}

std::function<void()> multiply_adds_of(double flops, bool bf16) {
  const MultiplyAdds loop = fastest_multiply_adds(bf16);
  const double steps = flops / static_cast<double>(loop.flops_per_step * thread_count());
  return [loop, steps = std::max<int64_t>(1, static_cast<int64_t>(steps))] {
    parallel_for(0, thread_count(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        volatile float kept = loop.run(steps);
        (void)kept;
      }
    });
  };
}

}  // namespace

std::function<void()> at_limit(Work work) {
  if (work.resource == Resource::memory)
    return quickest_copy(std::max<int64_t>(1, static_cast<int64_t>(work.amount / 2)));
  return multiply_adds_of(work.amount, work.resource == Resource::bf16_products);
}

std::string machine_description() {
  return fmt::format("{}, {} threads", describe(cpu_features()), thread_count());
}

}  // namespace lowrank
