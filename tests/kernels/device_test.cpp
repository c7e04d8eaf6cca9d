#include "kernels/core/device.h"

#include <dlfcn.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/core/cuda_library.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

TEST(Device, NamesAreTheCpuAndNumberedGpus) {
  for (const char* known : {"auto", "cpu", "cuda", "cuda:0", "cuda:7"})
    EXPECT_TRUE(is_device_name(known)) << known;
  for (const char* other :
       {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:999", "cudaa", "cpu:0"})
    EXPECT_FALSE(is_device_name(other)) << other;
  EXPECT_EQ(device_named("auto"), at::Device(at::kCPU));
  EXPECT_EQ(device_named("cpu"), at::Device(at::kCPU));
  test::expect_error(ErrorKind::invalid, "not tpu", "", [] { device_named("tpu"); });
}

TEST(Device, AGpuThatIsNotThereIsASentence) {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) GTEST_SKIP() << "this machine has an NVIDIA driver";
  test::expect_error(ErrorKind::unsupported, "no NVIDIA driver", "libcuda.so.1",
                     [] { device_named("cuda"); });
  // Asked again, it is the same answer.
  test::expect_error(ErrorKind::unsupported, "no NVIDIA driver", "libcuda.so.1", [] { load_cuda(); });
}

TEST(Device, IndicesLieWhereTheyIndex) {
  const at::Tensor rows = at::arange(5);
  const std::vector<int64_t> chosen{3, 0};
  const at::Tensor indices = indices_for(rows, chosen);
  EXPECT_TRUE(at::equal(rows.index_select(0, indices), indices));
  EXPECT_EQ(indices.device(), rows.device());
}

}  // namespace
}  // namespace lowrank
