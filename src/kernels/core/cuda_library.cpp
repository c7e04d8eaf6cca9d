#include "kernels/core/cuda_library.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/headeronly/version.h>

#include "base/error.h"
#include "kernels/core/cuda_module.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* library_name = "libtorch_cuda.so";
/// The folder of `tools/setup cuda` among its downloads.
constexpr const char* fetched = "libtorch-cuda-" TORCH_VERSION;
/// Of libtorch's CUDA 13; its minor versions run with every driver of this one.
constexpr int least_cuda = 13000;
constexpr int least_capability = 8;

/// The newest CUDA that the driver knows, as 1000 major + 10 minor; nothing without a driver.
std::optional<int> driver_version() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) return std::nullopt;
  const auto ask = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDriverGetVersion"));
  int version = 0;
  if (!ask || ask(&version) != 0) return std::nullopt;
  return version;
}

/// An environment variable; empty if it is not set.
fs::path variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// The folders where the library may be, in the order in which they are searched.
std::vector<fs::path> folders() {
  std::vector<fs::path> found;
  if (const fs::path given = variable("LOWRANK_CUDA"); !given.empty()) found.push_back(given);
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&at::globalContext), &info) && info.dli_fname) {
    const fs::path libtorch = fs::path(info.dli_fname).parent_path();
    found.push_back(libtorch);
    found.push_back(libtorch / "../../.." / fetched / "torch/lib");
  }
  const fs::path home = variable("HOME"), cache = variable("XDG_CACHE_HOME"),
                 chosen = variable("LOWRANK_DEPS");
  const fs::path downloads = !chosen.empty() ? chosen : (cache.empty() ? home / ".cache" : cache) / "lowrank";
  found.push_back(downloads / fetched / "torch/lib");
  return found;
}

bool is_given(const fs::path& folder) {
  return folder == variable("LOWRANK_CUDA");
}

void check_driver() {
  const std::optional<int> version = driver_version();
  if (!version) {
    throw Error(ErrorKind::unsupported, "device cuda: this machine has no NVIDIA driver (libcuda.so.1)",
                "compute on the CPU with `device` cpu");
  }
  if (*version >= least_cuda) return;
  throw Error(ErrorKind::unsupported,
              fmt::format("device cuda: the NVIDIA driver knows CUDA {}.{}, and {}.{} is needed",
                          *version / 1000, *version % 1000 / 10, least_cuda / 1000, least_cuda % 1000 / 10),
              "install a newer driver");
}

void open_library() {
  for (const fs::path& folder : folders()) {
    const fs::path path = folder / library_name;
    std::error_code error;
    if (!fs::exists(path, error)) {
      check(!is_given(folder), ErrorKind::not_found, "LOWRANK_CUDA: {} has no {}", folder.string(),
            library_name);
      continue;
    }
    // Its kernels register themselves, and are called until the process ends. Linear algebra is loaded by
    // name from another folder when it is first needed, so it must be there already.
    constexpr int flags = RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE;
    if (dlopen(path.c_str(), flags)) {
      dlopen((folder / "libtorch_cuda_linalg.so").c_str(), flags);
      return;
    }
    const char* reason = dlerror();
    throw Error(ErrorKind::unsupported,
                fmt::format("device cuda: {}: {}", path.string(), reason ? reason : ""),
                "it must be of the same libtorch, with its NVIDIA libraries: `tools/setup cuda`");
  }
  throw Error(ErrorKind::unsupported, fmt::format("device cuda: {} was not found", library_name),
              "run `tools/setup cuda`, or set LOWRANK_CUDA to the folder that has it");
}

}  // namespace

int load_cuda() {
  static const int count = [] {
    check_driver();
    open_library();
    if (!at::detail::getCUDAHooks().isBuilt()) {
      throw Error(ErrorKind::unsupported, "device cuda: libtorch was used before its CUDA library was loaded",
                  "open the first model of the process with `device` cuda");
    }
    const int found = static_cast<int>(at::detail::getCUDAHooks().deviceCount());
    if (found > 0) load_cuda_kernels();
    return found;
  }();
  if (count > 0) return count;
  throw Error(ErrorKind::unsupported, "device cuda: the driver finds no GPU",
              "see whether `nvidia-smi` lists one and CUDA_VISIBLE_DEVICES, if set, names it");
}

void check_capability(int device) {
  // cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor
  constexpr int major_attribute = 75, minor_attribute = 76;
  const auto ask = reinterpret_cast<int (*)(int*, int, int)>(dlsym(RTLD_DEFAULT, "cudaDeviceGetAttribute"));
  int major = 0, minor = 0;
  check(ask && ask(&major, major_attribute, device) == 0 && ask(&minor, minor_attribute, device) == 0,
        ErrorKind::unsupported, "device cuda:{}: CUDA does not say what the GPU can do", device);
  if (major >= least_capability) return;
  throw Error(ErrorKind::unsupported,
              fmt::format("device cuda:{}: the GPU has compute capability {}.{}, and {}.0 is needed", device,
                          major, minor, least_capability),
              "choose another GPU, or compute on the CPU with `device` cpu");
}

int64_t free_cuda_bytes(int device) {
  const auto choose = reinterpret_cast<int (*)(int)>(dlsym(RTLD_DEFAULT, "cudaSetDevice"));
  const auto ask = reinterpret_cast<int (*)(size_t*, size_t*)>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
  // What libtorch holds for later tensors is free, too.
  c10::getDeviceAllocator(at::kCUDA)->emptyCache();
  size_t free = 0, total = 0;
  check(choose && ask && choose(device) == 0 && ask(&free, &total) == 0, ErrorKind::unsupported,
        "device cuda:{}: CUDA does not say how much memory is free", device);
  return static_cast<int64_t>(free);
}

}  // namespace lowrank
