#include "train/ranks/rank_device.h"

#include <fmt/format.h>

#include "base/error.h"
#include "kernels/core/cuda_library.h"
#include "kernels/core/device.h"

namespace lowrank {

std::string device_of_rank(std::string_view device, const RankPlace& place) {
  if (device == "cuda") return fmt::format("cuda:{}", place.local_rank);
  check(!device.starts_with("cuda") || place.local_size == 1, ErrorKind::invalid,
        "device {}: {} processes of this machine would share that GPU; with `device` cuda each takes one of "
        "its own",
        device, place.local_size);
  return std::string(device);
}

void check_rank_device(std::string_view device, const RankPlace& place) {
  if (!device.starts_with("cuda")) return;
  const int count = load_cuda();
  check(
      place.local_size <= count, ErrorKind::invalid,
      "device cuda: {} processes on this machine, which shows {} GPU{}; start as many processes as GPUs, and "
      "let each see all of them",
      place.local_size, count, count == 1 ? "" : "s");
  device_named(device);
}

}  // namespace lowrank
