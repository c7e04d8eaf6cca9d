#include "kernels/core/prepare_kernels.h"

#include "base/cpu_features.h"
#include "base/process.h"
#include "kernels/core/cpu/targets_cpu.h"
#include "kernels/core/thread_waits.h"

namespace lowrank {

void prepare_kernels() {
  set_library_defaults();
  watch_waits();
  if (cpu_features() != detect_cpu()) restrict_targets_cpu(cpu_features());
}

}  // namespace lowrank
