#pragma once

#include <cstdint>

#include <c10/core/Device.h>

namespace lowrank::test {

/// A device for tests, in this process' memory: libtorch's extension device (PrivateUse1), whose operations
/// copy their operands to the CPU, compute there, and copy the results back. Its memory is protected from
/// every other access, so code that reads or writes a tensor of it through a pointer crashes; an operation on
/// one of its tensors and a CPU tensor with dimensions, or with a CPU generator, is an error, as on a GPU.
/// The first call registers it; call it before other computations.
c10::Device stand_in_device();

/// What has crossed to the device and back until now. On a GPU a tensor or number that is read back waits for
/// all that was enqueued before it.
struct Crossings {
  int64_t to_device = 0, from_device = 0;
};
Crossings stand_in_crossings();

}  // namespace lowrank::test
