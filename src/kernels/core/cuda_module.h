#pragma once

#include <filesystem>

#include "kernels/tasks/kernel_table.h"

namespace lowrank {

/// Loads our kernels for NVIDIA GPUs (liblowrank_cuda.so, or the file LOWRANK_CUDA_KERNELS) and uses them
/// from now on; after libtorch's CUDA side. Without the library a warning says so, and libtorch's own
/// operations compute. Errors: unsupported where it cannot be loaded, or is of another version of the
/// program.
void load_cuda_kernels();

/// The kernels of a library. Errors: as load_cuda_kernels.
const KernelTable& kernels_of_module(const std::filesystem::path& path);

}  // namespace lowrank
