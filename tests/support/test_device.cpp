#include "support/test_device.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "support/stand_in_device.h"

namespace lowrank::test {

at::Device test_device() {
  static const at::Device device = [] {
    const char* given = std::getenv("LOWRANK_TEST_DEVICE");
    const std::string_view name = given ? given : "";
    check(name.empty() || name == "stand_in", ErrorKind::invalid,
          "LOWRANK_TEST_DEVICE={}: only stand_in is known", name);
    return name.empty() ? at::Device(at::kCPU) : stand_in_device();
  }();
  return device;
}

}  // namespace lowrank::test
