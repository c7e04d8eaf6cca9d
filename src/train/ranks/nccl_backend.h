#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "train/ranks/nccl_interface.h"

namespace lowrank {

/// c10d's NCCL, or why this process cannot have it.
struct NcclBackend {
  c10::intrusive_ptr<c10d::Backend> backend;
  std::string missing;  ///< one clause; empty if there is a backend
};

/// The library that makes it, liblowrank_nccl.so, or the file LOWRANK_NCCL; nothing if there is none.
std::optional<std::filesystem::path> nccl_module();

/// Loads the library, after libtorch's CUDA side, and makes the backend for the current GPU. Does not meet
/// the other ranks. Errors: unsupported where the library is of another version of the program; what libtorch
/// throws.
NcclBackend nccl_backend(const std::filesystem::path& module, const NcclRequest& request);

}  // namespace lowrank
