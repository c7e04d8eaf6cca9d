#pragma once

#include <string_view>

#include <ATen/core/Tensor.h>

#include "peft/files/adapter_file.h"

namespace lowrank::test {

/// Where tests of devices compute: on the CPU, or where the environment variable LOWRANK_TEST_DEVICE says:
/// `stand_in`, the device of support/stand_in_device.h, or a name of device_named (kernels/core/device.h).
at::Device test_device();

/// Whether libtorch has no operation for what a method's encoder, an LSTM, needs on that device.
inline bool lacks_lstm(std::string_view what) {
  return test_device().is_privateuseone() && what.find("lstm") != std::string_view::npos;
}

/// The adapter there.
inline Adapter on_test_device(Adapter adapter) {
  move_adapter(adapter, test_device());
  return adapter;
}

}  // namespace lowrank::test
