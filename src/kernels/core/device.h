#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// True if all of these tensors (undefined ones aside) lie where our kernels compute, on the CPU. Elsewhere
/// an operation runs as the plain ones of its reference, which libtorch has for every device.
template <typename... Tensors>
bool on_cpu(const Tensors&... tensors) {
  return ((!tensors.defined() || tensors.is_cpu()) && ...);
}

/// The device of a name: `auto` and `cpu` are the CPU, `cuda` and `cuda:N` an NVIDIA GPU, the first or number
/// N from 0. Errors: invalid for other names, or a GPU that is not there; as load_cuda
/// and check_capability (kernels/core/cuda_library.h), which a call for a GPU calls.
at::Device device_named(std::string_view name);

/// True if `device_named` knows such a name, whether or not there is such a device.
bool is_device_name(std::string_view name);

/// A tensor of the CPU on a device; the same one for the CPU. Neither waits for the device's work so far, nor
/// for the copy.
at::Tensor sent_to(const at::Tensor& tensor, at::Device device);

/// int64 [n] on the device of the tensor that it will index.
at::Tensor indices_for(const at::Tensor& indexed, std::span<const int64_t> indices);

}  // namespace lowrank
