#pragma once

// For .cu files only.

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kernels/core/cuda/launch.h"

namespace lowrank {

/// N neighbouring values of a row, in f32.
template <int N>
struct Values {
  float at[N];
};

/// N stored values that are read and written together.
template <typename T, int N>
struct alignas(N * sizeof(T)) Packed {
  T at[N];
};

__device__ inline float widened(float value) {
  return value;
}
__device__ inline float widened(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

template <typename T>
__device__ inline T narrowed(float value) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return value;
  } else {
    return __float2bfloat16(value);
  }
}

/// Values [0, N) behind `from`, which is aligned to all of them.
template <int N, typename T>
__device__ inline Values<N> load(const T* from) {
  const auto packed = *reinterpret_cast<const Packed<T, N>*>(from);
  Values<N> values;
  for (int i = 0; i < N; ++i) values.at[i] = widened(packed.at[i]);
  return values;
}

template <int N, typename T>
__device__ inline void store(const Values<N>& values, T* to) {
  Packed<T, N> packed;
  for (int i = 0; i < N; ++i) packed.at[i] = narrowed<T>(values.at[i]);
  *reinterpret_cast<Packed<T, N>*>(to) = packed;
}

/// Calls step(i) for each i = 0, N, 2 N, ... below `columns`, shared out among the block's threads.
template <int N, typename Step>
__device__ inline void each_of_block(int64_t columns, const Step& step) {
  for (int64_t i = int64_t{threadIdx.x} * N; i < columns; i += int64_t{blockDim.x} * N) step(i);
}

/// The sum of the values of a warp's threads, the same bits in all of them.
__device__ inline float warp_sum(float value) {
  for (unsigned distance = warp_size / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFU, value, static_cast<int>(distance));
  return value;
}

__device__ inline float warp_max(float value) {
  for (unsigned distance = warp_size / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, static_cast<int>(distance)));
  return value;
}

/// The values of a block's warps combined, the same bits in all threads; all threads call it.
template <typename OfWarp, typename Both>
__device__ inline float of_block(float value, const OfWarp& of_warp, const Both& both) {
  __shared__ float partial[32];
  value = of_warp(value);
  const unsigned warps = blockDim.x / warp_size;
  if (warps == 1) return value;
  __syncthreads();  // the last call's values have been read
  if (threadIdx.x % warp_size == 0) partial[threadIdx.x / warp_size] = value;
  __syncthreads();
  float all = partial[0];
  for (unsigned i = 1; i < warps; ++i) all = both(all, partial[i]);
  return all;
}

__device__ inline float block_sum(float value) {
  return of_block(
      value, [](float own) { return warp_sum(own); }, [](float a, float b) { return a + b; });
}

__device__ inline float block_max(float value) {
  return of_block(
      value, [](float own) { return warp_max(own); }, [](float a, float b) { return fmaxf(a, b); });
}

}  // namespace lowrank
