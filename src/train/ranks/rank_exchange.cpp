#include "train/ranks/rank_exchange.h"

#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "train/ranks/gloo_group.h"

namespace lowrank {
namespace {

using Work = c10::intrusive_ptr<c10d::Work>;

/// Gloo gives up a whole group when a wait takes too long; who has ended, the watch finds out.
constexpr std::chrono::hours forever{24 * 365};
constexpr int question_tag = 0, first_answer_tag = 1;

int answer_tag(int64_t number) {
  return first_answer_tag + static_cast<int>(number);
}

/// What one thread waits for, which another can end.
class Wait {
 public:
  /// False if it was ended.
  bool operator()(const Work& work) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return false;
      work_ = work;
    }
    return work->wait(forever);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (work_) work_->abort();
  }

 private:
  std::mutex mutex_;
  Work work_;
  bool ended_ = false;
};

}  // namespace

struct RankExchange::State {
  State(const RankGroup& group, std::function<at::Tensor(int64_t)> given)
      : ranks(group), served(std::move(given)) {}
  /// What others still send or receive after a failure uses the connections: they stay until the process
  /// ends.
  ~State() {
    if (!ranks.has_left() && gloo) static_cast<void>(gloo.release());
  }

  void answer_all() {
    for (;;) {
      std::vector<at::Tensor> question{at::empty({1}, at::kLong)};
      const Work asked = gloo->recvAnysource(question, question_tag);
      if (!answering(asked)) return;
      const int64_t number = question.front().item<int64_t>();
      std::vector<at::Tensor> answer{served(number)};
      if (!answering(gloo->send(answer, asked->sourceRank(), answer_tag(number)))) return;
    }
  }

  /// A connection that is lost after the last fetch was closed by a rank that has left.
  void answer() noexcept try { answer_all(); } catch (const std::exception& error) {
    if (settled) return;
    try {
      ranks.wait_until([&](std::chrono::milliseconds) -> bool { throw; });
    } catch (const std::exception& verdict) {
      ranks.fail(verdict.what());
    }
  }

  void fetch(int64_t owner, int64_t number, const at::Tensor& into) {
    std::vector<at::Tensor> bytes{into}, question{at::empty({1}, at::kLong).fill_(number)};
    const Work answered = gloo->recv(bytes, static_cast<int>(owner), answer_tag(number));
    if (fetching(gloo->send(question, static_cast<int>(owner), question_tag))) fetching(answered);
  }

  void finish() {
    if (!fetched.valid()) return;
    ranks.wait_until([&](std::chrono::milliseconds patience) {
      if (fetched.wait_for(patience) != std::future_status::ready) return false;
      fetched.get();
      return true;
    });
  }

  RankGroup ranks;
  std::function<at::Tensor(int64_t)> served;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo = {};
  Wait answering, fetching;
  std::future<void> fetched;
  std::atomic<bool> settled = false;
  std::thread thread;
};

RankExchange::RankExchange(const RankGroup& ranks, std::function<at::Tensor(int64_t)> served)
    : state_(std::make_shared<State>(ranks, std::move(served))) {
  // Ranks come here whenever they have read their part; connecting waits for seconds only.
  ranks.largest(0);
  ranks.wait_until([&](std::chrono::milliseconds) {
    state_->gloo = gloo_group(ranks.store(), ranks.place(), ranks.waits().silence, "exchange");
    return true;
  });
  ranks.before_leaving([weak = std::weak_ptr(state_)] {
    const std::shared_ptr<State> state = weak.lock();
    if (!state) return;
    state->finish();
    state->settled = true;
  });
  state_->thread = std::thread([state = state_.get()] { state->answer(); });
}

RankExchange::~RankExchange() {
  state_->settled = true;
  state_->answering.end();
  state_->fetching.end();
  state_->thread.join();
  if (state_->fetched.valid()) state_->fetched.wait();
}

void RankExchange::start(int64_t owner, int64_t number, at::Tensor bytes) {
  state_->finish();
  state_->fetched = std::async(
      std::launch::async,
      [state = state_.get(), owner, number, into = std::move(bytes)] { state->fetch(owner, number, into); });
}

void RankExchange::finish() {
  state_->finish();
}

}  // namespace lowrank
