#include "serve/http/connection.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "serve/http/http_connection.h"
#include "serve/http/request_head.h"

namespace lowrank::serve {

namespace asio = boost::asio;
namespace http = boost::beast::http;

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, const HttpHandler& handler,
                               const HttpLimits& limits, std::function<void()> closed)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      handler_(handler),
      limits_(limits),
      closed_(std::move(closed)) {}

HttpConnection::~HttpConnection() {
  if (closed_) closed_();
}

void HttpConnection::start() {
  asio::dispatch(socket_.get_executor(), [self = shared_from_this()] { self->wait_for_request(true); });
}

void HttpConnection::turn_away() {
  asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
    self->started_ = Clock::now();
    self->refuse(self->handler_.problem(503, "the server has too many connections"));
  });
}

void HttpConnection::finish() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->keep_alive_ = false;
    if (self->state_ == State::idle) self->close();
  });
}

void HttpConnection::wait_for_request(bool first) {
  state_ = State::idle;
  on_gone_ = nullptr;
  note_.clear();
  if (buffer_.size() > 0) return read_head();
  deadline(first ? limits_.header_timeout : limits_.idle_timeout);
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](const ErrorCode& error) {
    if (!error && self->state_ == State::idle) self->read_head();
  });
}

void HttpConnection::read_head() {
  state_ = State::reading;
  started_ = Clock::now();
  ++number_;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(limits_.header_bytes));
  parser_->body_limit(static_cast<uint64_t>(limits_.max_body_mb * bytes_per_mb));
  deadline(limits_.header_timeout);
  http::async_read_header(socket_, buffer_, *parser_,
                          [self = shared_from_this()](const ErrorCode& error, size_t) {
                            error ? self->cannot_read(error) : self->take_head();
                          });
}

void HttpConnection::take_head() {
  const auto& head = parser_->get();
  request_ = request_of(head);
  minor_version_ = head.version() % 10;
  keep_alive_ = keep_alive_ && head.keep_alive();
  head_only_ = request_.method == "HEAD";
  if (const auto problem = take_path(head, request_))
    return refuse(handler_.problem(problem->status, problem->message));
  if (auto refused = handler_.refusal(request_)) return refuse(*refused);
  const Expectation expected = expectation_of(head);
  if (expected == Expectation::none || parser_->is_done()) return read_body();
  if (expected == Expectation::unknown)
    return refuse(handler_.problem(417, "only 100-continue can be expected"));
  auto text = std::make_shared<std::string>("HTTP/1.1 100 Continue\r\n\r\n");
  asio::async_write(socket_, asio::buffer(*text),
                    [self = shared_from_this(), text](const ErrorCode& error, size_t) {
                      error ? self->close() : self->read_body();
                    });
}

void HttpConnection::read_body() {
  if (state_ != State::reading) return;
  deadline(limits_.body_timeout);
  http::async_read(socket_, buffer_, *parser_, [self = shared_from_this()](const ErrorCode& error, size_t) {
    error ? self->cannot_read(error) : self->take_body();
  });
}

void HttpConnection::take_body() {
  if (state_ != State::reading) return;
  no_deadline();
  request_.body = std::move(parser_->get().body());
  state_ = State::answering;
  method_ = request_.method;
  path_ = request_.path;
  watch();
  handler_.handle(std::move(request_), make_exchange());
}

void HttpConnection::cannot_read(const ErrorCode& error) {
  if (state_ != State::reading) return;
  if (!is_malformed(error)) return close();
  const RequestProblem problem = problem_of(error);
  refuse(handler_.problem(problem.status, problem.message));
}

void HttpConnection::refuse(const HttpResponse& response) {
  state_ = State::answering;
  method_ = request_.method;
  path_ = request_.path;
  keep_alive_ = false;
  complete(response);
}

void HttpConnection::deadline(int64_t seconds) {
  timer_.expires_after(std::chrono::seconds(seconds));
  timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    if (!error && Clock::now() >= self->timer_.expiry()) self->close();
  });
}

void HttpConnection::no_deadline() {
  timer_.expires_at(Clock::time_point::max());
}

void HttpConnection::close() {
  if (state_ == State::closed) return;
  const bool unanswered = state_ == State::answering;
  state_ = State::closed;
  no_deadline();
  ErrorCode ignored;
  socket_.close(ignored);
  if (!unanswered) return;
  status_ = 0;
  record();
  if (const auto tell = std::exchange(on_gone_, nullptr)) tell();
}

std::shared_ptr<Connection> make_connection(asio::ip::tcp::socket socket, const HttpHandler& handler,
                                            const HttpLimits& limits, std::function<void()> closed) {
  return std::make_shared<HttpConnection>(std::move(socket), handler, limits, std::move(closed));
}

}  // namespace lowrank::serve
