#include "train/ranks/rank_group.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "base/error.h"
#include "base/log.h"
#include "train/ranks/gloo_group.h"
#include "train/ranks/gpu_sums.h"
#include "train/ranks/rank_meeting.h"
#include "train/ranks/store_handle.h"

namespace lowrank {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds between_looks{50};
/// A wait between two looks at the verdict.
constexpr milliseconds short_wait{500};

}  // namespace

struct RankGroup::Shared {
  Shared(const RankPlace& at, const RankWaits& for_others) : place(at), waits(for_others) {}
  /// What is still running after a failure uses the group's connections: they stay until the process ends.
  ~Shared() {
    if (!left && gloo) static_cast<void>(gloo.release());
    if (gpus) gpus->abort(fmt::format("rank {} cannot close its connections", place.rank));
  }

  /// Waits until a collective is done, or a rank's end is known.
  void finish(const c10::intrusive_ptr<c10d::Work>& work) {
    wait_until([&](milliseconds patience) {
      try {
        return work->wait(patience);
      } catch (const std::exception&) {
        if (work->isCompleted()) throw;
        return false;
      }
    });
  }

  void wait_until(const std::function<bool(milliseconds)>& done) {
    const auto start = Clock::now();
    for (;;) {
      try {
        if (done(short_wait)) return;
      } catch (const std::exception& error) {
        end(first_line(error));
      }
      if (const std::optional<std::string> verdict = watch->verdict())
        lowrank::fail(ErrorKind::io, "{}", *verdict);
      if (Clock::now() - start > waits.collective) end_for_time();
    }
  }

  /// Another rank has closed its connection: which one, the watch finds out.
  std::string why(const std::string& reason) {
    const std::optional<std::string> verdict = watch->verdict_within(waits.silence + 4 * waits.between_signs);
    return verdict ? *verdict : fmt::format("rank {} has lost the others: {}", place.rank, reason);
  }
  [[noreturn]] void end(const std::string& reason) { lowrank::fail(ErrorKind::io, "{}", why(reason)); }
  /// The others are alive, but do not come.
  [[noreturn]] void end_for_time() {
    if (const std::optional<std::string> late = watch->late_ranks())
      lowrank::fail(ErrorKind::io, "{}", store->set_once(verdict_key, *late));
    end("the others did not come to the same place");
  }

  void tell(const std::string& key, const std::string& text) const {
    store->set(key, text + '.');
  }  // never empty
  /// The text of a key, when another rank tells it.
  std::string told(const std::string& key) {
    const auto start = Clock::now();
    for (;;) {
      if (std::optional<std::string> found = store->find(key)) {
        found->pop_back();
        return *found;
      }
      if (const std::optional<std::string> verdict = watch->verdict())
        lowrank::fail(ErrorKind::io, "{}", *verdict);
      if (Clock::now() - start > waits.collective) end_for_time();
      std::this_thread::sleep_for(between_looks);
    }
  }

  template <class Value>
  void reduce(std::span<Value> values, c10::ScalarType type, c10d::ReduceOp::RedOpType operation) {
    const at::Tensor buffer = at::empty({static_cast<int64_t>(values.size())}, type);
    std::ranges::copy(values, buffer.mutable_data_ptr<Value>());
    reduce(buffer, operation);
    std::copy_n(buffer.const_data_ptr<Value>(), values.size(), values.begin());
  }

  /// Gloo's threads may still write after a failure: to a buffer that is never the caller's.
  void reduce(const at::Tensor& buffer, c10d::ReduceOp::RedOpType operation) {
    std::vector<at::Tensor> buffers{buffer};
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    options.timeout = 2 * waits.collective;  // `finish` ends it before, and names who is late
    const RankWatch::Arrival here(*watch, Awaited::all);
    finish(gloo->allreduce(buffers, options));
  }

  /// Connects the GPUs, if all ranks can.
  void connect_gpus() {
    asked_for_gpus = true;
    auto keys =
        c10::make_intrusive<c10d::PrefixStore>(store->handle().prefix + "nccl", store->handle().store);
    gpus = GpuSums(
        {std::move(keys), static_cast<int>(place.rank), static_cast<int>(place.size), waits.collective});
    // Where one rank has none, NCCL would wait for it on the others.
    int64_t missing = gpus->missing().empty() ? 0 : 1;
    reduce(std::span(&missing, 1), at::kLong, c10d::ReduceOp::MAX);
    if (missing == 0) return;
    warn("the gradients of {} GPUs are summed on the CPU, as {}", place.size,
         gpus->missing().empty() ? "NCCL is missing on another rank" : gpus->missing());
    gpus.reset();
  }

  /// Errors: as `finish`.
  void reduce_on_gpus(at::Tensor& values) {
    const auto look = [this] { return watch->verdict(); };
    const RankWatch::Arrival here(*watch, Awaited::all);
    const std::string problem = gpus->sum(values, look, waits.collective);
    if (problem.empty()) return;
    const std::string sentence = why(problem);
    gpus->abort(sentence);
    lowrank::fail(ErrorKind::io, "{}", sentence);
  }

  RankPlace place;
  RankWaits waits;
  std::optional<RankStore> served, store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo = {};
  std::unique_ptr<RankWatch> watch = nullptr;
  std::optional<GpuSums> gpus = {};  ///< from the first sum on a GPU on, if there is NCCL
  bool asked_for_gpus = false;
  int64_t texts = 0;  ///< shared so far
  std::function<void()> before_leaving = nullptr;
  std::atomic<bool> left = false;
};

RankGroup RankGroup::join(const RankPlace& place, const RankWaits& waits) {
  // A rank that has died must be an error of this one, not its end.
  std::signal(SIGPIPE, SIG_IGN);
  auto shared = std::make_shared<Shared>(place, waits);
  if (place.leads() && !place.store_elsewhere) shared->served = RankStore::serve(place.address, place.port);
  const int port = shared->served ? shared->served->port() : place.port;
  // A launcher's store holds keys of its own, and those of earlier attempts at the run.
  const std::string prefix = rank_keys(place);
  shared->store = RankStore::connect(place.address, port, waits.join, prefix);
  // Before the ranks meet: from then on each expects signs of life. Connecting may take many seconds, as c10d
  // asks a name server for the name of each address.
  RankStore for_watch = RankStore::connect(place.address, port, waits.join, prefix);
  meet_ranks(*shared->store, place, waits.join);
  shared->watch = std::make_unique<RankWatch>(std::move(for_watch), place, waits);
  try {
    shared->gloo = gloo_group(*shared->store, place, waits.silence, "gloo");
  } catch (const std::exception& error) {
    shared->end(first_line(error));
  }
  return RankGroup(std::move(shared));
}

const RankPlace& RankGroup::place() const {
  return shared_->place;
}

void RankGroup::sum(std::span<float> values) const {
  shared_->reduce(values, at::kFloat, c10d::ReduceOp::SUM);
}

void RankGroup::sum(std::span<double> values) const {
  shared_->reduce(values, at::kDouble, c10d::ReduceOp::SUM);
}

void RankGroup::sum(at::Tensor& values) const {
  if (values.is_cuda() && !shared_->asked_for_gpus) shared_->connect_gpus();
  if (values.is_cuda() && shared_->gpus) return shared_->reduce_on_gpus(values);
  const at::Tensor buffer = values.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true);
  shared_->reduce(buffer, c10d::ReduceOp::SUM);
  values.copy_(buffer);
}

int64_t RankGroup::largest(int64_t value) const {
  shared_->reduce(std::span(&value, 1), at::kLong, c10d::ReduceOp::MAX);
  return value;
}

std::string RankGroup::from_first(const std::string& text) const {
  const std::string key = fmt::format("text/{}", shared_->texts++);
  if (leads()) shared_->tell(key, text);
  const RankWatch::Arrival here(*shared_->watch, Awaited::first);
  return shared_->told(key);
}

std::vector<std::string> RankGroup::from_all(const std::string& text) const {
  const std::string key = fmt::format("text/{}", shared_->texts++);
  shared_->tell(fmt::format("{}/{}", key, rank()), text);
  const RankWatch::Arrival here(*shared_->watch, Awaited::all);
  std::vector<std::string> texts;
  for (int64_t rank = 0; rank < size(); ++rank)
    texts.push_back(shared_->told(fmt::format("{}/{}", key, rank)));
  return texts;
}

void RankGroup::fail(const std::string& sentence) const noexcept try {
  if (shared_->left) return;
  if (!shared_->watch->verdict()) {
    const std::string described = described_rank(*shared_->store, rank());
    shared_->store->set_once(verdict_key, fmt::format("{} has failed: {}", described, sentence));
  }
  // The others read the verdict before the store ends with this process.
  if (shared_->served) std::this_thread::sleep_for(3 * shared_->waits.between_signs);
} catch (const std::exception&) {
  return;  // the store has gone, so the others know
}

void RankGroup::wait_until(const std::function<bool(milliseconds)>& done) const {
  shared_->wait_until(done);
}

void RankGroup::before_leaving(std::function<void()> settle) const {
  shared_->before_leaving = std::move(settle);
}

bool RankGroup::has_left() const {
  return shared_->left;
}

const RankStore& RankGroup::store() const {
  return *shared_->store;
}

const RankWaits& RankGroup::waits() const {
  return shared_->waits;
}

void RankGroup::leave() const {
  if (shared_->before_leaving) shared_->before_leaving();
  largest(0);
  if (shared_->gpus) shared_->gpus->close();
  shared_->left = true;
  shared_->watch.reset();
  shared_->store->add("left", 1);
  // The store goes with rank 0, and the others' last signs with it.
  constexpr milliseconds patience{10'000};
  const auto start = Clock::now();
  while (leads() && Clock::now() - start < patience && shared_->store->add("left", 0) < size())
    std::this_thread::sleep_for(between_looks);
}

}  // namespace lowrank
