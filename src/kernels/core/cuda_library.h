#pragma once

#include <cstdint>

namespace lowrank {

/// Loads libtorch's CUDA side, once, and returns the number of NVIDIA GPUs, at least 1. Without a call no
/// CUDA library is ever loaded. libtorch asks for its CUDA side only once, so call it before other operations
/// of libtorch. The library (libtorch_cuda.so, of the same version) is looked for in the folder LOWRANK_CUDA,
/// beside libtorch_cpu.so, and where `tools/setup cuda` puts it. Errors: unsupported, with what to do, where
/// the driver is missing or too old, the library is missing or fits another version, or there is no GPU.
int load_cuda();

/// Errors: unsupported if a GPU's compute capability is below 8.0, the least for which our kernels and flash
/// attention are compiled, or if CUDA does not say; after load_cuda.
void check_capability(int device);

/// Bytes of a GPU's memory that nobody uses now, those that libtorch keeps for later included; after
/// load_cuda. The GPU is then the thread's current one. Errors: unsupported if CUDA does not say.
int64_t free_cuda_bytes(int device);

}  // namespace lowrank
