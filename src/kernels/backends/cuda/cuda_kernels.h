#pragma once

#include <cstddef>

#include "kernels/tasks/kernel_table.h"

namespace lowrank {

/// All kernels for NVIDIA GPUs.
const KernelTable& cuda_kernels();

}  // namespace lowrank

/// CudaKernelsEntry, of the library of its own into which they are linked.
extern "C" __attribute__((visibility("default"))) const lowrank::KernelTable* lowrank_cuda_kernels(
    const char* version, size_t table_bytes);
