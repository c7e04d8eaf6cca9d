#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "infer/engine/engine.h"

namespace lowrank::serve {

/// News of a submitted request: the engine's, or why it was not taken.
struct ModelNews {
  EngineEvent event;
  std::optional<Error> refusal = {};
};

/// Lets one thread do all work with a model: it runs `run`, the others leave work for it.
class ModelLoop {
 public:
  using Sink = std::function<void(ModelNews)>;

  /// `engine`: null for a model that generates no text; must outlive the loop. At most `most_requests` are
  /// taken at a time.
  ModelLoop(Engine* engine, int64_t most_requests);

  /// Takes a request; `sink` gets its news, on the loop's thread, the last with a finish or a refusal.
  /// Returns its number; nothing if there are too many or the loop is ending. By any thread.
  std::optional<uint64_t> submit(EngineRequest request, Sink sink);
  /// Ends a request; its last news says `cancelled`. By any thread.
  void cancel(uint64_t number);
  /// Leaves other work for the loop's thread, between two steps. Returns false if there is too much, or the
  /// loop is ending. By any thread.
  bool post(std::function<void()> work);
  /// Leaves the next part of a piece of posted work, which calls this; it is taken in any case. What else is
  /// waiting comes first.
  void post_next(std::function<void()> work);
  /// True when the seconds given to `finish` are over: a piece of work with several parts ends. By any
  /// thread.
  bool is_late() const;

  /// The engine's, after the last step. By any thread.
  EngineStatistics statistics() const;

  /// Works until `finish` was called and all requests have ended. While there is nothing to do it sleeps.
  void run();

  /// Takes no more; `run` returns when all requests have ended, at the latest when those that still run after
  /// so many seconds have been cancelled. By any thread.
  void finish(double seconds);

 private:
  struct Command {
    uint64_t number = 0;
    std::optional<EngineRequest> request = {};  ///< with `sink`; without: the request is cancelled
    Sink sink = {};
    std::function<void()> work = {};
  };

  bool take_commands();
  void obey(Command command);
  void submit_now(Command command);
  void step();
  void tell(EngineEvent event);
  void fail_all(const std::string& message);
  void leave_if_late();

  Engine* engine_;
  int64_t most_requests_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Command> inbox_;
  uint64_t last_number_ = 0;
  int64_t open_ = 0;  ///< requests that were taken and have not ended, and posted work
  bool finishing_ = false;
  double leave_at_ = 0;
  EngineStatistics statistics_;

  // Of the loop's thread.
  struct Running {
    uint64_t number = 0;
    Sink sink;
  };
  std::map<uint64_t, Running> running_;         ///< by the engine's number
  std::map<uint64_t, uint64_t> engine_number_;  ///< by ours
  bool left_ = false;
};

}  // namespace lowrank::serve
