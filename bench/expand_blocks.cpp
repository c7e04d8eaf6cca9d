// How long GGUF's block formats take to expand, on one thread:  expand_blocks [MEGABYTES]
// Training on a quantised base whose weights are not kept expanded does this for every weight in every step.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "formats/block_formats.h"

namespace lowrank {
namespace {

constexpr size_t row_values = 4096;
constexpr int repetitions = 7;

/// Nanoseconds per value of the fastest repetition, row by row.
template <typename Out>
double measured(DType type, const std::vector<std::byte>& source, size_t rows,
                void (*one)(DType, std::span<const std::byte>, std::span<Out>)) {
  std::vector<Out> row(row_values);
  const size_t row_bytes = source.size() / rows;
  double best = 1e300;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t at = 0; at < rows; ++at) one(type, std::span(source).subspan(at * row_bytes, row_bytes), row);
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / static_cast<double>(rows * row_values));
  }
  return best;
}

void measure(DType type, size_t bytes) {
  const DTypeInfo& info = info_of(type);
  const size_t row_bytes = row_values / info.block * info.block_bytes;
  const size_t rows = std::max<size_t>(1, bytes / row_bytes);
  std::vector<std::byte> source(rows * row_bytes);
  std::mt19937 random(1);
  for (std::byte& byte : source) byte = static_cast<std::byte>(random());
  std::cout << fmt::format("{:<8} {:5.2f} bits  f32 {:6.3f} ns  bf16 {:6.3f} ns per value\n", info.name,
                           8.0 * info.block_bytes / info.block, measured<float>(type, source, rows, expand),
                           measured<uint16_t>(type, source, rows, expand_bf16));
}

}  // namespace
}  // namespace lowrank

int main(int count, char** arguments) {
  try {
    const size_t megabytes = count > 1 ? std::stoul(arguments[1]) : 4;
    for (int i = 0; i <= static_cast<int>(lowrank::DType::nvfp4); ++i) {
      const auto type = static_cast<lowrank::DType>(i);
      if (lowrank::can_expand(type)) lowrank::measure(type, megabytes << 20);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "usage: expand_blocks [MEGABYTES]\nerror: " << error.what() << '\n';
    return 1;
  }
}
