#include "kernels/core/device_kernels.h"

#include <array>
#include <atomic>

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr size_t kinds = static_cast<size_t>(c10::DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES);

/// By kind of device; null: no kernels of ours.
std::array<std::atomic<const KernelTable*>, kinds>& tables() {
  static std::array<std::atomic<const KernelTable*>, kinds> all{};
  return all;
}

}  // namespace

const KernelTable& kernels_for(at::Device device) {
  static constexpr KernelTable none;
  if (device.is_cpu()) return cpu_kernels();
  const KernelTable* table = tables().at(static_cast<size_t>(device.type()));
  return table ? *table : none;
}

void use_kernels(at::DeviceType type, const KernelTable& kernels) {
  tables().at(static_cast<size_t>(type)) = &kernels;
}

void check_kernel(int code, at::Device device) {
  check(code == 0, ErrorKind::unsupported, "device {}: it refuses a computation with error {}", device.str(),
        code);
}

int on_device(at::Device device, const std::function<int(void*)>& call) {
  const c10::DeviceGuard guard(device);
  return call(c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle());
}

}  // namespace lowrank
