#include "serve/model_loop.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"

namespace lowrank::serve {

ModelLoop::ModelLoop(Engine* engine, int64_t most_requests)
    : engine_(engine), most_requests_(most_requests) {}

std::optional<uint64_t> ModelLoop::submit(EngineRequest request, Sink sink) {
  const std::scoped_lock lock(mutex_);
  if (finishing_ || open_ >= most_requests_) return std::nullopt;
  ++open_;
  inbox_.push_back({++last_number_, std::move(request), std::move(sink)});
  changed_.notify_all();
  return last_number_;
}

void ModelLoop::cancel(uint64_t number) {
  const std::scoped_lock lock(mutex_);
  inbox_.push_back({number});
  changed_.notify_all();
}

bool ModelLoop::post(std::function<void()> work) {
  const std::scoped_lock lock(mutex_);
  if (finishing_ || open_ >= most_requests_) return false;
  ++open_;
  inbox_.push_back({0, {}, {}, std::move(work)});
  changed_.notify_all();
  return true;
}

void ModelLoop::post_next(std::function<void()> work) {
  const std::scoped_lock lock(mutex_);
  ++open_;
  inbox_.push_back({0, {}, {}, std::move(work)});
  changed_.notify_all();
}

bool ModelLoop::is_late() const {
  const std::scoped_lock lock(mutex_);
  return finishing_ && monotonic_seconds() >= leave_at_;
}

EngineStatistics ModelLoop::statistics() const {
  const std::scoped_lock lock(mutex_);
  return statistics_;
}

void ModelLoop::finish(double seconds) {
  const std::scoped_lock lock(mutex_);
  finishing_ = true;
  leave_at_ = monotonic_seconds() + seconds;
  changed_.notify_all();
}

void ModelLoop::run() {
  while (take_commands()) {
    leave_if_late();
    if (engine_ && !engine_->idle()) step();
  }
}

/// Obeys what has been left; waits if there is nothing else to do. Returns false at the end.
bool ModelLoop::take_commands() {
  std::unique_lock lock(mutex_);
  if (engine_) statistics_ = engine_->statistics();
  const bool idle = !engine_ || engine_->idle();
  if (idle) changed_.wait(lock, [&] { return !inbox_.empty() || finishing_; });
  if (finishing_ && idle && inbox_.empty()) return false;
  std::deque<Command> commands = std::exchange(inbox_, {});
  lock.unlock();
  for (Command& command : commands) obey(std::move(command));
  return true;
}

void ModelLoop::obey(Command command) {
  if (command.work) {
    try {
      command.work();
    } catch (const std::exception& error) {
      warn("{}", error.what());
    }
    const std::scoped_lock lock(mutex_);
    --open_;
  } else if (command.request) {
    submit_now(std::move(command));
  } else if (const auto found = engine_number_.find(command.number); found != engine_number_.end()) {
    engine_->cancel(found->second);
  }
}

void ModelLoop::submit_now(Command command) {
  const auto refuse = [&](const Error& error) {
    {
      const std::scoped_lock lock(mutex_);
      --open_;
    }
    command.sink({{}, error});
  };
  try {
    const uint64_t engine_number = engine_->submit(std::move(*command.request));
    engine_number_[command.number] = engine_number;
    running_[engine_number] = {command.number, std::move(command.sink)};
  } catch (const Error& error) {
    refuse(error);
  } catch (const std::exception& error) {
    refuse(Error(ErrorKind::io, error.what()));
  }
}

void ModelLoop::step() {
  try {
    engine_->step([this](EngineEvent event) { tell(std::move(event)); });
  } catch (const std::exception& error) {
    warn("a step of the model failed: {}", error.what());
    fail_all(error.what());
  }
}

void ModelLoop::tell(EngineEvent event) {
  const auto found = running_.find(event.request);
  if (found == running_.end()) return;
  const Sink sink = found->second.sink;
  if (event.finish) {
    engine_number_.erase(found->second.number);
    running_.erase(found);
    const std::scoped_lock lock(mutex_);
    --open_;
  }
  sink({std::move(event)});
}

/// Ends all requests; the engine's own last events of them are nobody's.
void ModelLoop::fail_all(const std::string& message) {
  std::vector<uint64_t> numbers;
  for (const auto& [number, one] : running_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    engine_->cancel(number);
    EngineEvent event;
    event.request = number;
    event.finish = FinishReason::failed;
    event.error = message;
    tell(std::move(event));
  }
}

void ModelLoop::leave_if_late() {
  if (left_ || !is_late()) return;
  left_ = true;
  for (const auto& [number, one] : running_) engine_->cancel(number);
}

}  // namespace lowrank::serve
