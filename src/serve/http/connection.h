#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

#include "serve/http/exchange.h"
#include "serve/http/limits.h"

namespace lowrank::serve {

/// One client: its requests are read and answered one after another.
class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  /// Begins to read.
  virtual void start() = 0;
  /// Answers that the server is full, and closes.
  virtual void turn_away() = 0;
  /// Closes after the request that is being answered, if any, or now. May be called by any thread.
  virtual void finish() = 0;
};

/// The connection of an accepted socket, whose executor is a strand. `handler` and `limits` must outlive it;
/// `closed` is called when it is over.
std::shared_ptr<Connection> make_connection(boost::asio::ip::tcp::socket socket, const HttpHandler& handler,
                                            const HttpLimits& limits, std::function<void()> closed);

}  // namespace lowrank::serve
