#pragma once

#include <chrono>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace lowrank {

/// What liblowrank_nccl.so needs to connect the ranks' GPUs.
struct NcclRequest {
  c10::intrusive_ptr<c10d::Store> store;
  int rank = 0, size = 1;
  std::chrono::milliseconds patience;  ///< for one collective
};

/// What came of it.
enum class NcclAnswer {
  made,
  other_program,  ///< the library belongs to another version of the program
  other_nccl,     ///< it was compiled with the header of another NCCL than libtorch's
};

/// The library's only function. `version`: of the program; `nccl`: of the NCCL that libtorch has loaded, as
/// ncclGetVersion gives it. Nothing of libtorch is called before both are known to be right. Errors: as
/// c10d::ProcessGroupNCCL.
using NcclEntry = NcclAnswer (*)(const char* version, int nccl, const NcclRequest* request,
                                 c10::intrusive_ptr<c10d::Backend>* made);

inline constexpr const char* nccl_entry = "lowrank_nccl";

}  // namespace lowrank
