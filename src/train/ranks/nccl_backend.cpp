#include "train/ranks/nccl_backend.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/modules/module_file.h"
#include "base/version.h"

namespace lowrank {
namespace {

/// The version of the NCCL in the process; 0 without one.
int loaded_nccl() {
  const auto ask = reinterpret_cast<int (*)(int*)>(dlsym(RTLD_DEFAULT, "ncclGetVersion"));
  int version = 0;
  return ask && ask(&version) == 0 ? version : 0;
}

}  // namespace

std::optional<std::filesystem::path> nccl_module() {
  return module_file("liblowrank_nccl.so", "LOWRANK_NCCL");
}

NcclBackend nccl_backend(const std::filesystem::path& module, const NcclRequest& request) {
  void* library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char* reason = dlerror();
    return {{}, fmt::format("{} cannot be loaded ({})", module.string(), reason ? reason : "")};
  }
  const auto entry = reinterpret_cast<NcclEntry>(dlsym(library, nccl_entry));
  const std::string version(program_version());
  const int nccl = loaded_nccl();
  NcclBackend made;
  const NcclAnswer answer =
      entry ? entry(version.c_str(), nccl, &request, &made.backend) : NcclAnswer::other_program;
  if (answer == NcclAnswer::other_program) {
    throw Error(ErrorKind::unsupported,
                fmt::format("device cuda: {} belongs to another version of the program", module.string()),
                "build it again with the program");
  }
  if (answer == NcclAnswer::other_nccl)
    made.missing =
        fmt::format("{} was compiled for another NCCL than libtorch's, number {}", module.string(), nccl);
  return made;
}

}  // namespace lowrank
