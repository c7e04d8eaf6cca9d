// Ranks that train on devices: which GPU each takes, sums where tensors lie, and the library for NCCL.
#include "train/ranks/rank_device.h"

#include <vector>

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/rank_threads.h"
#include "support/test_device.h"
#include "train/ranks/nccl_backend.h"
#include "train/ranks/rank_group.h"

namespace lowrank {
namespace {

using test::as_ranks;
using test::brief_waits;

TEST(RankGroup, ATensorOfADeviceHasTheBitsOfTheHostsSum) {
  const at::Device device = test::test_device();
  const auto errors = as_ranks(3, [&](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    std::vector<float> values(1000);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = 1 / (static_cast<float>(i) + 0.3F * static_cast<float>(place.rank) + 1);
    const at::Tensor own = at::tensor(values);
    at::Tensor there = own.to(device, false, true);
    group.sum(values);
    group.sum(there);
    EXPECT_EQ(there.device(), device);
    EXPECT_TRUE(at::equal(there.cpu(), at::tensor(values)));
    EXPECT_FALSE(at::equal(there.cpu(), own));
    group.leave();
  });
  for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
}

TEST(RankDevice, EachTakesAGpuOfItsOwn) {
  const RankPlace alone{.rank = 3, .size = 4}, second{.rank = 3, .size = 4, .local_rank = 1, .local_size = 2};
  EXPECT_EQ(device_of_rank("cuda", second), "cuda:1");
  EXPECT_EQ(device_of_rank("cuda", alone), "cuda:0");
  EXPECT_EQ(device_of_rank("cuda:5", alone), "cuda:5");
  EXPECT_EQ(device_of_rank("auto", second), "auto");
  EXPECT_EQ(device_of_rank("cpu", second), "cpu");
  test::expect_error(ErrorKind::invalid, "device cuda:0", "2 processes of this machine would share that GPU",
                     [&] { device_of_rank("cuda:0", second); });
}

TEST(NcclBackend, ALibraryThatIsNotOursIsRefused) {
  EXPECT_NE(nccl_backend("/nowhere.so", {}).missing.find("/nowhere.so cannot be loaded"), std::string::npos);
  test::expect_error(ErrorKind::unsupported, "libz.so.1", "another version of the program",
                     [] { nccl_backend("libz.so.1", {}); });
}

}  // namespace
}  // namespace lowrank
