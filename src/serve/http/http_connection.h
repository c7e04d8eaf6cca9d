#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "serve/http/connection.h"

namespace lowrank::serve {

/// A connection as a machine of states, for the sources of connections alone: reading a request
/// (connection.cpp) and answering it (connection_answer.cpp) take turns on the socket's strand.
class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  /// As make_connection.
  HttpConnection(boost::asio::ip::tcp::socket socket, const HttpHandler& handler, const HttpLimits& limits,
                 std::function<void()> closed);
  ~HttpConnection() override;

  void start() override;
  void turn_away() override;
  void finish() override;

  /// Answers the request, whole, or as a head, pieces and an end. To be called while it `serves` it.
  void complete(const HttpResponse& response);
  void begin(const HttpResponse& head);
  void piece(const std::string& text);
  void end();

  /// Whether the request of this number still waits for its answer; tells late calls for an earlier one.
  bool serves(uint64_t number) const { return number == number_ && state_ == State::answering; }
  /// As those of Exchange.
  void on_gone(std::function<void()> work) { on_gone_ = std::move(work); }
  void set_note(std::string note) { note_ = std::move(note); }
  auto executor() { return socket_.get_executor(); }

 private:
  using Clock = std::chrono::steady_clock;
  using ErrorCode = boost::system::error_code;
  enum class State { idle, reading, answering, written, closing, closed };
  static constexpr size_t read_buffer = 64 << 10;
  static constexpr int64_t bytes_per_mb = 1 << 20;

  // Both sides: closes the connection in `seconds`, if nothing else happens before; or now.
  void deadline(int64_t seconds);
  void no_deadline();
  void close();

  // The request, from its first byte to the handler; later ones may take longer to begin than to arrive.
  void wait_for_request(bool first);
  void read_head();
  void take_head();
  void read_body();
  void take_body();
  void cannot_read(const ErrorCode& error);
  /// Answers a request that was not read to its end, so that nothing can follow it.
  void refuse(const HttpResponse& response);

  // The answer.
  std::shared_ptr<Exchange> make_exchange();
  /// Notices when the client goes away during an answer. What it sends meanwhile is the next request's, and
  /// is kept; behind much of it only a failing write tells that the client is gone.
  void watch();
  void write(const std::string& text);
  void write_more();
  /// The answer is complete, but for what is still to be written.
  void over();
  void record();

  // After it: the next request, or the end.
  void next();
  /// Closes only when the client has read the answer: what it still sends would otherwise destroy it.
  void linger();
  void drain();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  const HttpHandler& handler_;
  const HttpLimits& limits_;
  std::function<void()> closed_;
  boost::beast::flat_buffer buffer_{read_buffer};
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;
  State state_ = State::idle;
  uint64_t number_ = 0;
  Clock::time_point started_;
  std::string method_, path_, note_;
  int status_ = 0;
  unsigned minor_version_ = 1;
  bool keep_alive_ = true, head_only_ = false, chunked_ = false, writing_ = false, watching_ = false;
  std::string waiting_, being_written_;
  std::function<void()> on_gone_;
};

}  // namespace lowrank::serve
