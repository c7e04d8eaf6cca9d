#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/http/exchange.h"
#include "serve/http/limits.h"

namespace lowrank::serve {

/// An HTTP/1.1 server with threads of its own.
class HttpServer {
 public:
  /// Listens on an address ("127.0.0.1", "::1", "localhost") and a port (0: a free one); clients wait until
  /// `start`. Errors: invalid for what is no address; io for a port that is in use.
  HttpServer(const std::string& host, int64_t port, HttpLimits limits);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Begins to accept clients, who are answered by `handler`. `on_signal` is called, by one of its threads,
  /// at the first SIGINT or SIGTERM; the next one ends the program. Empty: signals stay as they are.
  void start(HttpHandler handler, std::function<void(int signal)> on_signal);

  /// Takes no more clients; connections end after the request that is being answered. May be called by any
  /// thread.
  void finish();
  /// Waits until all connections are closed, at most so many seconds. Returns whether they are.
  bool wait_until_closed(double seconds);

  /// Leaves everything as it is: the handler is not called any more.
  void stop();

  int64_t port() const;
  int64_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lowrank::serve
