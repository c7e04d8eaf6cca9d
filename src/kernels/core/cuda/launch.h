#pragma once

// For .cu files only.

#include <algorithm>
#include <cstdint>
#include <cuda_runtime.h>
#include <initializer_list>

namespace lowrank {

constexpr unsigned warp_size = 32;

/// Threads of a block that goes over `steps` steps of a row: whole warps, at most `most`.
inline unsigned threads_for(int64_t steps, unsigned most = 512) {
  const int64_t warps = std::clamp<int64_t>((steps + warp_size - 1) / warp_size, 1, most / warp_size);
  return static_cast<unsigned>(warps) * warp_size;
}

/// Whether rows of so many columns can be read and written four values at a time.
inline bool in_fours(int64_t columns, std::initializer_list<const void*> operands) {
  constexpr uintptr_t alignment = 16;
  return columns % 4 == 0 && std::all_of(operands.begin(), operands.end(), [](const void* operand) {
           return reinterpret_cast<uintptr_t>(operand) % alignment == 0;
         });
}

/// Enqueues kernel(arguments...) in `queue`, a cudaStream_t; returns CUDA's error code, 0 without one.
template <typename... Parameters>
int launch(void (*kernel)(Parameters...), int64_t blocks, unsigned threads, void* queue,
           Parameters... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(threads);
  config.stream = static_cast<cudaStream_t>(queue);
  return static_cast<int>(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace lowrank
