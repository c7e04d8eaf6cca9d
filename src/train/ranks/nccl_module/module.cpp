// liblowrank_nccl.so: what needs the headers of CUDA and NCCL. Its names of libtorch's CUDA side are resolved
// when it is loaded, after that side.
#include <cstdlib>
#include <string_view>

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "train/ranks/nccl_interface.h"

namespace lowrank {
namespace {

/// libtorch's watchers of NCCL end the process without a word of which rank is missing. RankWatch says it.
void leave_failures_to_us() {
  constexpr int keep = 0;  // what the user has set
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", keep);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", keep);
}

}  // namespace
}  // namespace lowrank

extern "C" __attribute__((visibility("default"))) lowrank::NcclAnswer lowrank_nccl(
    const char* version, int nccl, const lowrank::NcclRequest* request,
    c10::intrusive_ptr<c10d::Backend>* made) {
  using lowrank::NcclAnswer;
  if (std::string_view(version) != LOWRANK_VERSION) return NcclAnswer::other_program;
  // The options hold a structure that grows with NCCL's versions.
  if (nccl != NCCL_VERSION_CODE) return NcclAnswer::other_nccl;
  lowrank::leave_failures_to_us();
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = request->patience;
  *made = c10::make_intrusive<c10d::ProcessGroupNCCL>(request->store, request->rank, request->size,
                                                      std::move(options));
  return NcclAnswer::made;
}
