#include "kernels/highway_target.h"

#include <gtest/gtest.h>

// Must come before Highway's header: what it disables decides which targets there are.
#include "kernels/core/cpu/highway_targets.h"
// Must come after it.
#include <hwy/highway.h>
#include <hwy/targets.h>

#include "base/cpu_features.h"
#include "kernels/core/cpu/targets_cpu.h"

namespace lowrank {

std::vector<int64_t> compiled_targets() {
  std::vector<int64_t> targets;
  for (int64_t left = HWY_TARGETS; left != 0; left &= left - 1) targets.push_back(left & -left);
  return targets;
}

std::string target_name(int64_t target) {
  return hwy::TargetName(target);
}

bool can_run(int64_t target) {
  return (hwy::SupportedTargets() & target) != 0;
}

std::string skip_reason(int64_t target) {
  return target_name(target) + " skipped: the processor has " + describe(detect_cpu()) + ", LOWRANK_CPU is " +
         std::string(cpu_level());
}

Target::Target(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  EXPECT_EQ(dispatched_target_cpu(), target_name(target));
}

Target::~Target() {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace lowrank
