#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/tasks/kernel_table.h"

namespace lowrank {

/// The kernels for tensors of a device: the CPU's, those that `use_kernels` has named for its kind, or none.
const KernelTable& kernels_for(at::Device device);

/// From now on tensors of a kind of device other than the CPU are computed with these kernels. `kernels` must
/// outlive them.
void use_kernels(at::DeviceType type, const KernelTable& kernels);

/// All kernels of the CPU: loops over the rows, on several threads.
const KernelTable& cpu_kernels();

/// Throws an Error of kind unsupported if `code` is not 0.
void check_kernel(int code, at::Device device);

/// Calls call(queue) with the device's current queue while it is the current device.
int on_device(at::Device device, const std::function<int(void*)>& call);

/// Computes `rows` rows of a task whose operands lie on the device. Errors: unsupported when the device
/// refuses the work.
template <typename Task>
void compute(Kernel<Task> kernel, const Task& task, int64_t rows, at::Device device) {
  if (rows == 0) return;
  check_kernel(device.is_cpu() ? kernel(task, rows, nullptr)
                               : on_device(device, [&](void* queue) { return kernel(task, rows, queue); }),
               device);
}

}  // namespace lowrank
