#include "serve/http/connection.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <optional>

namespace lowrank::serve {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr int64_t bytes_per_mb = 1 << 20;
constexpr size_t read_buffer = 64 << 10;
/// Bytes of next requests that are read during an answer.
constexpr size_t most_ahead = 16 << 10;

/// What is wrong with a request that the parser refuses.
struct Problem {
  int status;
  const char* message;
};

Problem problem_of(const error_code& error) {
  if (error == http::error::body_limit) return {413, "the request's body is too large"};
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return {431, "the request's headers are too large"};
  return {400, "the request is not valid HTTP"};
}

class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(asio::ip::tcp::socket socket, const HttpHandler& handler, const HttpLimits& limits,
                 std::function<void()> closed)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        handler_(handler),
        limits_(limits),
        closed_(std::move(closed)) {}
  ~HttpConnection() override {
    if (closed_) closed_();
  }

  void start() override {
    asio::dispatch(socket_.get_executor(), [self = shared_from_this()] { self->wait_for_request(true); });
  }

  void turn_away() override {
    asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
      self->started_ = Clock::now();
      self->refuse(self->handler_.problem(503, "the server has too many connections"));
    });
  }

  void finish() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->keep_alive_ = false;
      if (self->state_ == State::idle) self->close();
    });
  }

  // The exchange's side; `number` tells late calls for an earlier request.
  void complete(HttpResponse response) {
    const bool known = response.status != 204;
    std::string text = head_text(response, BodyLength::known, keep_alive_);
    if (!head_only_ && known) text += response.body;
    status_ = response.status;
    write(std::move(text));
    over();
  }

  void begin(const HttpResponse& head) {
    chunked_ = minor_version_ > 0;
    if (!chunked_) keep_alive_ = false;
    status_ = head.status;
    write(head_text(head, chunked_ ? BodyLength::chunked : BodyLength::until_close, keep_alive_));
  }

  void piece(const std::string& text) {
    if (!text.empty() && !head_only_) write(chunked_ ? chunk(text) : text);
  }

  void end() {
    if (chunked_ && !head_only_) write(std::string(last_chunk));
    over();
  }

  bool serves(uint64_t number) const { return number == number_ && state_ == State::answering; }
  void on_gone(std::function<void()> work) { on_gone_ = std::move(work); }
  void set_note(std::string note) { note_ = std::move(note); }
  auto executor() { return socket_.get_executor(); }

 private:
  enum class State { idle, reading, answering, written, closing, closed };

  void deadline(int64_t seconds) {
    timer_.expires_after(std::chrono::seconds(seconds));
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error && Clock::now() >= self->timer_.expiry()) self->close();
    });
  }
  void no_deadline() { timer_.expires_at(Clock::time_point::max()); }

  /// Waits for the first byte of a request; later ones may take longer to begin than to arrive.
  void wait_for_request(bool first) {
    state_ = State::idle;
    on_gone_ = nullptr;
    note_.clear();
    if (buffer_.size() > 0) return read_head();
    deadline(first ? limits_.header_timeout : limits_.idle_timeout);
    socket_.async_wait(asio::ip::tcp::socket::wait_read,
                       [self = shared_from_this()](const error_code& error) {
                         if (!error && self->state_ == State::idle) self->read_head();
                       });
  }

  void read_head() {
    state_ = State::reading;
    started_ = Clock::now();
    ++number_;
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(limits_.header_bytes));
    parser_->body_limit(static_cast<uint64_t>(limits_.max_body_mb * bytes_per_mb));
    deadline(limits_.header_timeout);
    http::async_read_header(socket_, buffer_, *parser_,
                            [self = shared_from_this()](const error_code& error, size_t) {
                              error ? self->cannot_read(error) : self->take_head();
                            });
  }

  void take_head() {
    const auto& message = parser_->get();
    request_ = HttpRequest{};
    request_.method = message.method_string();
    minor_version_ = message.version() % 10;
    keep_alive_ = keep_alive_ && message.keep_alive();
    head_only_ = request_.method == "HEAD";
    const auto path = path_of_target(message.target());
    const auto field = [&](http::field name) { return std::string(message[name]); };
    request_.host = field(http::field::host);
    request_.origin = field(http::field::origin);
    request_.authorization = field(http::field::authorization);
    request_.content_encoding = field(http::field::content_encoding);
    request_.requested_headers = field(http::field::access_control_request_headers);
    if (const auto coding = message[http::field::transfer_encoding];
        !coding.empty() && !boost::beast::iequals(coding, "chunked"))
      return refuse(handler_.problem(501, "of transfer encodings only chunked is known"));
    if (!path) return refuse(handler_.problem(400, "the path of the request is malformed"));
    request_.path = *path;
    if (message.count(http::field::host) > 1)
      return refuse(handler_.problem(400, "the request has several Host headers"));
    if (auto refused = handler_.refusal(request_)) return refuse(std::move(*refused));
    const auto expected = message[http::field::expect];
    if (expected.empty() || parser_->is_done()) return read_body();
    if (!boost::beast::iequals(expected, "100-continue"))
      return refuse(handler_.problem(417, "only 100-continue can be expected"));
    auto text = std::make_shared<std::string>("HTTP/1.1 100 Continue\r\n\r\n");
    asio::async_write(socket_, asio::buffer(*text),
                      [self = shared_from_this(), text](const error_code& error, size_t) {
                        error ? self->close() : self->read_body();
                      });
  }

  void read_body() {
    if (state_ != State::reading) return;
    deadline(limits_.body_timeout);
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](const error_code& error, size_t) {
                       error ? self->cannot_read(error) : self->take_body();
                     });
  }

  void take_body() {
    if (state_ != State::reading) return;
    no_deadline();
    request_.body = std::move(parser_->get().body());
    state_ = State::answering;
    method_ = request_.method;
    path_ = request_.path;
    watch();
    handler_.handle(std::move(request_), make_exchange());
  }

  std::shared_ptr<Exchange> make_exchange();

  void cannot_read(const error_code& error) {
    if (state_ != State::reading) return;
    const bool by_parser = error.category() == http::make_error_code(http::error::body_limit).category();
    if (!by_parser || error == http::error::end_of_stream || error == http::error::partial_message)
      return close();
    const Problem problem = problem_of(error);
    refuse(handler_.problem(problem.status, problem.message));
  }

  /// Answers a request that was not read to its end, so that nothing can follow it.
  void refuse(HttpResponse response) {
    state_ = State::answering;
    method_ = request_.method;
    path_ = request_.path;
    keep_alive_ = false;
    complete(std::move(response));
  }

  /// Notices when the client goes away during an answer. What it sends meanwhile is the next request's, and
  /// is kept; behind much of it only a failing write tells that the client is gone.
  void watch() {
    if (buffer_.size() >= most_ahead) return;
    watching_ = true;
    socket_.async_read_some(buffer_.prepare(most_ahead - buffer_.size()),
                            [self = shared_from_this()](const error_code& error, size_t count) {
                              self->watching_ = false;
                              self->buffer_.commit(count);
                              // An end that is not acted on here is read again by what follows.
                              if (self->state_ == State::written && !self->writing_) return self->next();
                              if (self->state_ != State::answering) return;
                              error ? self->close() : self->watch();
                            });
  }

  void write(std::string text) {
    if (state_ == State::closed) return;
    waiting_ += text;
    if (std::ssize(waiting_) > limits_.backlog_bytes + limits_.max_body_mb * bytes_per_mb ||
        (chunked_ && std::ssize(waiting_) > limits_.backlog_bytes))
      return close();
    if (!writing_) write_more();
  }

  void write_more() {
    writing_ = true;
    being_written_ = std::exchange(waiting_, {});
    if (state_ != State::closing) deadline(limits_.write_timeout);
    asio::async_write(socket_, asio::buffer(being_written_),
                      [self = shared_from_this()](const error_code& error, size_t) {
                        self->writing_ = false;
                        if (self->state_ == State::closed) return;
                        if (error) return self->close();
                        self->no_deadline();
                        if (!self->waiting_.empty()) return self->write_more();
                        if (self->state_ == State::written) self->next();
                      });
  }

  /// The answer is complete, but for what is still to be written.
  void over() {
    if (state_ != State::answering) return;
    state_ = State::written;
    record();
    if (!writing_) next();
  }

  void next() {
    chunked_ = false;
    on_gone_ = nullptr;
    // A socket has one reader at a time: the end of the watch comes here again.
    if (watching_) {
      error_code ignored;
      socket_.cancel(ignored);
      return;
    }
    keep_alive_ ? wait_for_request(false) : linger();
  }

  /// Closes only when the client has read the answer: what it still sends would otherwise destroy it.
  void linger() {
    constexpr int64_t seconds = 2;
    state_ = State::closing;
    error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    deadline(seconds);
    drain();
  }

  void drain() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(read_buffer),
                            [self = shared_from_this()](const error_code& error, size_t) {
                              if (self->state_ == State::closed) return;
                              error ? self->close() : self->drain();
                            });
  }

  void record() {
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    handler_.record({method_, path_, note_, status_, seconds});
  }

  void close() {
    if (state_ == State::closed) return;
    const bool unanswered = state_ == State::answering;
    state_ = State::closed;
    no_deadline();
    error_code ignored;
    socket_.close(ignored);
    if (!unanswered) return;
    status_ = 0;
    record();
    if (const auto tell = std::exchange(on_gone_, nullptr)) tell();
  }

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  const HttpHandler& handler_;
  const HttpLimits& limits_;
  std::function<void()> closed_;
  boost::beast::flat_buffer buffer_{read_buffer};
  std::optional<http::request_parser<http::string_body>> parser_;
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

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<HttpConnection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}

  void answer(HttpResponse response) override {
    if (connection_->serves(number_)) connection_->complete(std::move(response));
  }
  void begin(HttpResponse head) override {
    if (connection_->serves(number_)) connection_->begin(head);
  }
  void send(std::string piece) override {
    if (connection_->serves(number_)) connection_->piece(piece);
  }
  void end() override {
    if (connection_->serves(number_)) connection_->end();
  }
  void post(std::function<void()> work) override { asio::post(connection_->executor(), std::move(work)); }
  void on_gone(std::function<void()> work) override {
    if (connection_->serves(number_)) connection_->on_gone(std::move(work));
  }
  void set_note(std::string note) override {
    if (connection_->serves(number_)) connection_->set_note(std::move(note));
  }

 private:
  std::shared_ptr<HttpConnection> connection_;
  uint64_t number_;
};

std::shared_ptr<Exchange> HttpConnection::make_exchange() {
  return std::make_shared<ConnectionExchange>(shared_from_this(), number_);
}

}  // namespace

std::shared_ptr<Connection> make_connection(asio::ip::tcp::socket socket, const HttpHandler& handler,
                                            const HttpLimits& limits, std::function<void()> closed) {
  return std::make_shared<HttpConnection>(std::move(socket), handler, limits, std::move(closed));
}

}  // namespace lowrank::serve
