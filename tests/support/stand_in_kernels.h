#pragma once

#include <functional>

#include "kernels/tasks/kernel_table.h"

namespace lowrank::test {

/// The kernels for NVIDIA GPUs, which on the stand-in device are computed by the CPU
/// (tests/support/cuda_on_host) while the device's memory is open to it.
const KernelTable& stand_in_kernels();

/// compute(), while the memory of the stand-in device is open.
int with_open_memory(const std::function<int()>& compute);

}  // namespace lowrank::test
