#include "kernels/core/cpu/targets_cpu.h"

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/core/cpu/targets_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

const char* name_of_target() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(name_of_target);

void restrict_targets_cpu(const CpuFeatures& allowed) {
#if HWY_ARCH_X86
  // Better targets have lower bits, so this disables all that are better than the best allowed one.
  const int64_t best_allowed = allowed.avx512 ? HWY_AVX3 : allowed.avx2 ? HWY_AVX2 : HWY_SSSE3;
  hwy::DisableTargets(best_allowed - 1);
#else
  (void)allowed;
#endif
}

const char* dispatched_target_cpu() {
  return HWY_DYNAMIC_DISPATCH(name_of_target)();
}

}  // namespace lowrank
#endif
