#include "kernels/core/cuda_module.h"

#include <dlfcn.h>
#include <optional>

#include <c10/core/DeviceType.h>

#include "base/error.h"
#include "base/log.h"
#include "base/modules/module_file.h"
#include "base/version.h"
#include "kernels/core/device_kernels.h"

namespace lowrank {

const KernelTable& kernels_of_module(const std::filesystem::path& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char* reason = dlerror();
    throw Error(ErrorKind::unsupported,
                fmt::format("device cuda: {}: {}", path.string(), reason ? reason : ""),
                "build it again with `make cuda`");
  }
  const auto entry = reinterpret_cast<CudaKernelsEntry>(dlsym(library, cuda_kernels_entry));
  const std::string version(program_version());
  const KernelTable* kernels = entry ? entry(version.c_str(), sizeof(KernelTable)) : nullptr;
  if (kernels) return *kernels;
  throw Error(ErrorKind::unsupported,
              fmt::format("device cuda: {} belongs to another version of the program", path.string()),
              "build it again with `make cuda`");
}

void load_cuda_kernels() {
  const std::optional<std::filesystem::path> path = module_file("liblowrank_cuda.so", "LOWRANK_CUDA_KERNELS");
  if (path) return use_kernels(c10::kCUDA, kernels_of_module(*path));
  warn(
      "device cuda: liblowrank_cuda.so was not found beside the program, so libtorch's own operations "
      "compute, which takes longer and more memory (with nvcc, `make cuda` builds it)");
}

}  // namespace lowrank
