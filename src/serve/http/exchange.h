#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/http/message.h"

namespace lowrank::serve {

/// One request's way back to its client. Each belongs to an executor, which runs one function at a time; all
/// functions but `post` are called there. An answer is either complete, or begun, sent in pieces and ended.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  /// Answers completely.
  virtual void answer(HttpResponse response) = 0;
  /// Sends the head of an answer whose body follows in pieces.
  virtual void begin(HttpResponse head) = 0;
  virtual void send(std::string piece) = 0;
  virtual void end() = 0;

  /// Runs the function on the executor. May be called by any thread.
  virtual void post(std::function<void()> work) = 0;
  /// Called once, on the executor, if the client goes away before the answer is complete.
  virtual void on_gone(std::function<void()> work) = 0;
  /// What the line of the log says of the request's work: "12+40 tokens".
  virtual void set_note(std::string note) = 0;
};

/// A request that was answered, for logs and counts.
struct HttpRecord {
  std::string method, path, note;
  int status = 0;  ///< 0: the client went away before
  double seconds = 0;
};

/// What a server does with requests. All functions may be called by several threads at once.
struct HttpHandler {
  /// Refuses a request by its head, before its body is read; nothing: it is welcome.
  std::function<std::optional<HttpResponse>(const HttpRequest& head)> refusal;
  /// Answers a request, on the exchange's executor: now, or later.
  std::function<void(HttpRequest request, std::shared_ptr<Exchange> exchange)> handle;
  /// The answer to what is no proper request: a status and what is wrong.
  std::function<HttpResponse(int status, const std::string& message)> problem;
  std::function<void(const HttpRecord&)> record;
};

}  // namespace lowrank::serve
