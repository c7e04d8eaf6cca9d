#include "support/test_device.h"

#include <cstdlib>
#include <string_view>

#include "kernels/core/device.h"
#include "support/stand_in_device.h"

namespace lowrank::test {

at::Device test_device() {
  static const at::Device device = [] {
    const char* given = std::getenv("LOWRANK_TEST_DEVICE");
    const std::string_view name = given ? given : "";
    return name == "stand_in" ? stand_in_device() : device_named(name.empty() ? "cpu" : name);
  }();
  return device;
}

}  // namespace lowrank::test
