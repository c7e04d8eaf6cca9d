#include "kernels/core/device.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "kernels/core/cuda_library.h"

namespace lowrank {
namespace {

constexpr std::string_view cuda = "cuda";

/// The GPU's number in `cuda` or `cuda:N`.
std::optional<int> gpu_number(std::string_view name) {
  if (name == cuda) return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = name.substr(cuda.size() + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  constexpr int most = 127;
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && number >= 0 && number <= most ? std::optional(number) : std::nullopt;
}

}  // namespace

bool is_device_name(std::string_view name) {
  return name == "auto" || name == "cpu" || gpu_number(name).has_value();
}

at::Device device_named(std::string_view name) {
  check(is_device_name(name), ErrorKind::invalid, "device must be auto, cpu, cuda or cuda:N, not {}", name);
  const std::optional<int> number = gpu_number(name);
  if (!number) return at::kCPU;
  const int count = load_cuda();
  check(*number < count, ErrorKind::invalid, "device {}: this machine has {} GPU{}, numbered from 0", name,
        count, count == 1 ? "" : "s");
  check_capability(*number);
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(*number));
}

at::Tensor sent_to(const at::Tensor& tensor, at::Device device) {
  if (device.is_cpu()) return tensor;
  // A copy of memory that may be paged out waits for the device.
  const at::Tensor source = device.is_cuda() ? tensor.pin_memory() : tensor;
  return source.to(source.options().device(device), /*non_blocking=*/true);
}

at::Tensor indices_for(const at::Tensor& indexed, std::span<const int64_t> indices) {
  return sent_to(at::tensor(at::IntArrayRef(indices.data(), indices.size()), at::kLong), indexed.device());
}

}  // namespace lowrank
