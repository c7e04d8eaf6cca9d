#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "train/ranks/nccl_interface.h"

namespace lowrank {

/// Sums over the GPUs of a run's ranks, by NCCL. A GPU that waits for a rank that has died waits forever, and
/// so may each call of NCCL; here the host looks for the ranks' verdict meanwhile.
class GpuSums {
 public:
  /// Why the run cannot go on; nullopt while all are well. Called from other threads, too.
  using Verdict = std::function<std::optional<std::string>()>;

  /// Does not meet the other ranks. Errors: as nccl_backend.
  explicit GpuSums(const NcclRequest& request);

  /// Why there is no NCCL here, one clause; empty if there is.
  const std::string& missing() const { return missing_; }

  /// Adds the ranks' values, in place, and waits for it. What went wrong, or nothing: a verdict of the ranks
  /// may be the reason. The first call connects the GPUs; if NCCL does not come back from that within some
  /// seconds of a verdict, the process ends with the verdict on standard error and exit code 1.
  std::string sum(const at::Tensor& values, const Verdict& verdict, std::chrono::milliseconds patience);

  /// Ends all connections, those that hang included: after `sentence`, why this rank ends, the process ends
  /// as above if NCCL does not.
  void abort(const std::string& sentence) noexcept;
  /// Ends the connections when all ranks have agreed to.
  void close();

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
  std::string missing_;
  bool connected_ = false;
};

}  // namespace lowrank
