#pragma once

// In the place of CUDA's header where kernels (.cu) are compiled for the CPU, for tests on machines without a
// GPU: the part of CUDA that they use. A block's threads are fibers of one thread of the CPU, which change
// places where the block's or a warp's threads wait for each other; the blocks run one behind the other. So a
// kernel's arithmetic, its indices and its barriers are tested; a GPU's memory, its timing and its rounding
// are not.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>

// CUDA's own words.
#define __global__
#define __device__
#define __host__
#define __shared__ static  // the fibers of a block share the process, and no two blocks run at a time

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned size) : x(size) {}
};

using cudaStream_t = struct CUstream_st*;
using cudaError_t = int;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

namespace lowrank::test {

/// The order in which the threads of a block take their turns: a kernel that lacks a barrier gives other
/// results in one of the two.
enum class FiberOrder { ascending, descending };
void set_fiber_order(FiberOrder order);

/// Calls body() for every thread of every block. Throws std::logic_error when the threads of a block wait for
/// each other at different places.
void run_grid(dim3 grid, dim3 block, const std::function<void()>& body);
/// Waits until all threads of the block, or of the warp, that have not ended are here.
void wait_for_block();
void wait_for_warp();
/// The value that the thread `lane` of the warp gives to this call, which all of its threads make.
uint64_t value_of_lane(uint64_t value, unsigned lane);

}  // namespace lowrank::test

/// Where the running fiber is in its grid.
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

inline void __syncthreads() {
  lowrank::test::wait_for_block();
}

inline void __syncwarp() {
  lowrank::test::wait_for_warp();
}

template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T value, int distance) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = lowrank::test::value_of_lane(bits, threadIdx.x % 32 ^ static_cast<unsigned>(distance));
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}

using std::max;
using std::min;

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  // What a GPU refuses, too.
  constexpr unsigned most_threads = 1024;
  constexpr int invalid_configuration = 9;
  const unsigned threads = config->blockDim.x * config->blockDim.y * config->blockDim.z;
  if (config->gridDim.x == 0 || threads == 0 || threads > most_threads) return invalid_configuration;
  lowrank::test::run_grid(config->gridDim, config->blockDim, [&] { kernel(arguments...); });
  return 0;
}
