#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "serve/http/http_connection.h"
#include "serve/http/message.h"

namespace lowrank::serve {
namespace {

namespace asio = boost::asio;

/// Bytes of next requests that are read during an answer.
constexpr size_t most_ahead = 16 << 10;

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<HttpConnection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}

  void answer(HttpResponse response) override {
    if (connection_->serves(number_)) connection_->complete(response);
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

}  // namespace

std::shared_ptr<Exchange> HttpConnection::make_exchange() {
  return std::make_shared<ConnectionExchange>(shared_from_this(), number_);
}

void HttpConnection::complete(const HttpResponse& response) {
  const bool known = response.status != 204;
  std::string text = head_text(response, BodyLength::known, keep_alive_);
  if (!head_only_ && known) text += response.body;
  status_ = response.status;
  write(text);
  over();
}

void HttpConnection::begin(const HttpResponse& head) {
  chunked_ = minor_version_ > 0;
  if (!chunked_) keep_alive_ = false;
  status_ = head.status;
  write(head_text(head, chunked_ ? BodyLength::chunked : BodyLength::until_close, keep_alive_));
}

void HttpConnection::piece(const std::string& text) {
  if (!text.empty() && !head_only_) write(chunked_ ? chunk(text) : text);
}

void HttpConnection::end() {
  if (chunked_ && !head_only_) write(std::string(last_chunk));
  over();
}

void HttpConnection::watch() {
  if (buffer_.size() >= most_ahead) return;
  watching_ = true;
  socket_.async_read_some(buffer_.prepare(most_ahead - buffer_.size()),
                          [self = shared_from_this()](const ErrorCode& error, size_t count) {
                            self->watching_ = false;
                            self->buffer_.commit(count);
                            // An end that is not acted on here is read again by what follows.
                            if (self->state_ == State::written && !self->writing_) return self->next();
                            if (self->state_ != State::answering) return;
                            error ? self->close() : self->watch();
                          });
}

void HttpConnection::write(const std::string& text) {
  if (state_ == State::closed) return;
  waiting_ += text;
  if (std::ssize(waiting_) > limits_.backlog_bytes + limits_.max_body_mb * bytes_per_mb ||
      (chunked_ && std::ssize(waiting_) > limits_.backlog_bytes))
    return close();
  if (!writing_) write_more();
}

void HttpConnection::write_more() {
  writing_ = true;
  being_written_ = std::exchange(waiting_, {});
  if (state_ != State::closing) deadline(limits_.write_timeout);
  asio::async_write(socket_, asio::buffer(being_written_),
                    [self = shared_from_this()](const ErrorCode& error, size_t) {
                      self->writing_ = false;
                      if (self->state_ == State::closed) return;
                      if (error) return self->close();
                      self->no_deadline();
                      if (!self->waiting_.empty()) return self->write_more();
                      if (self->state_ == State::written) self->next();
                    });
}

void HttpConnection::over() {
  if (state_ != State::answering) return;
  state_ = State::written;
  record();
  if (!writing_) next();
}

void HttpConnection::record() {
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  handler_.record({method_, path_, note_, status_, seconds});
}

void HttpConnection::next() {
  chunked_ = false;
  on_gone_ = nullptr;
  // A socket has one reader at a time: the end of the watch comes here again.
  if (watching_) {
    ErrorCode ignored;
    socket_.cancel(ignored);
    return;
  }
  keep_alive_ ? wait_for_request(false) : linger();
}

void HttpConnection::linger() {
  constexpr int64_t seconds = 2;
  state_ = State::closing;
  ErrorCode ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  deadline(seconds);
  drain();
}

void HttpConnection::drain() {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(read_buffer),
                          [self = shared_from_this()](const ErrorCode& error, size_t) {
                            if (self->state_ == State::closed) return;
                            error ? self->close() : self->drain();
                          });
}

}  // namespace lowrank::serve
