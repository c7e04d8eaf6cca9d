#include "train/ranks/gpu_sums.h"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "train/ranks/nccl_backend.h"
#include "train/ranks/store_handle.h"

namespace lowrank {
namespace {

using Clock = std::chrono::steady_clock;

/// Ends the process if its object is still there some seconds after a verdict: then a call hangs that cannot
/// be ended otherwise.
class EndOfHangs {
 public:
  explicit EndOfHangs(GpuSums::Verdict verdict)
      : thread_([verdict = std::move(verdict)](const std::stop_token& stop) { watch(verdict, stop); }) {}

 private:
  static void watch(const GpuSums::Verdict& verdict, const std::stop_token& stop) {
    constexpr std::chrono::milliseconds between_looks{20};
    constexpr std::chrono::seconds patience{5};
    std::optional<std::string> found;
    for (auto since = Clock::now(); !stop.stop_requested(); std::this_thread::sleep_for(between_looks)) {
      if (!found) {
        found = verdict();
        since = Clock::now();
      }
      if (!found || Clock::now() - since < patience) continue;
      fmt::print(stderr, "error: {}\n", *found);
      std::fflush(stderr);
      constexpr int failed = 1;
      std::_Exit(failed);
    }
  }

  std::jthread thread_;
};

/// Waits for what the GPU does; the error, or nothing.
std::string finished(c10d::Work& work, const GpuSums::Verdict& verdict, std::chrono::milliseconds patience) {
  constexpr std::chrono::microseconds between_queries{50};
  constexpr std::chrono::milliseconds between_looks{50};
  const auto start = Clock::now();
  for (auto looked = start; !work.isCompleted(); std::this_thread::sleep_for(between_queries)) {
    if (Clock::now() - looked < between_looks) continue;
    looked = Clock::now();
    if (std::optional<std::string> found = verdict()) return *found;
    if (looked - start > patience) return "the others did not come to the same place";
  }
  if (const std::exception_ptr error = work.exception()) std::rethrow_exception(error);
  work.wait();  // orders what comes on the GPU's current stream after it
  return "";
}

}  // namespace

GpuSums::GpuSums(const NcclRequest& request) {
  const std::optional<std::filesystem::path> module = nccl_module();
  if (!module) {
    missing_ = "liblowrank_nccl.so was not found beside the program";
    return;
  }
  NcclBackend made = nccl_backend(*module, request);
  backend_ = std::move(made.backend);
  missing_ = std::move(made.missing);
}

std::string GpuSums::sum(const at::Tensor& values, const Verdict& verdict,
                         std::chrono::milliseconds patience) try {
  std::optional<EndOfHangs> guard;
  if (!std::exchange(connected_, true)) guard.emplace(verdict);
  c10d::AllreduceOptions options;
  options.timeout = patience;
  std::vector<at::Tensor> tensors{values};
  const c10::intrusive_ptr<c10d::Work> work = backend_->allreduce(tensors, options);
  return finished(*work, verdict, patience);
} catch (const std::exception& error) {
  return first_line(error);
}

void GpuSums::abort(const std::string& sentence) noexcept try {
  if (!backend_) return;
  const EndOfHangs guard([&] { return std::optional(sentence); });
  backend_->abort();
  static_cast<void>(backend_.release());
} catch (const std::exception&) {
  static_cast<void>(backend_.release());
}

void GpuSums::close() {
  if (backend_) backend_->shutdown();
  backend_.reset();
}

}  // namespace lowrank
