#include "serve/http/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "serve/http/connection.h"

namespace lowrank::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// Reading requests and rendering conversations may take a while; two threads let others' answers pass.
constexpr int threads = 2;

}  // namespace

struct HttpServer::State {
  explicit State(HttpLimits given_limits) : limits(given_limits) {}

  void listen(const std::string& host, int64_t port) {
    error_code problem;
    const asio::ip::address address =
        asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, problem);
    check(!problem, ErrorKind::invalid, "`host` {}: not an IP address, such as 127.0.0.1 or 0.0.0.0", host);
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
    acceptor.open(endpoint.protocol(), problem);
    if (!problem) acceptor.set_option(asio::socket_base::reuse_address(true), problem);
    if (!problem) acceptor.bind(endpoint, problem);
    if (!problem) acceptor.listen(asio::socket_base::max_listen_connections, problem);
    if (!problem) bound_port = acceptor.local_endpoint(problem).port();
    if (problem)
      throw Error(ErrorKind::io, fmt::format("{} port {}: {}", host, port, problem.message()),
                  "`port` chooses another one; 0 takes any that is free");
  }

  void accept() {
    acceptor.async_accept(asio::make_strand(io), [this](const error_code& error, tcp::socket socket) {
      if (finishing || error == asio::error::operation_aborted) return;
      if (error) {
        // Out of file descriptors, say: some are free again in a while.
        pause.expires_after(std::chrono::milliseconds(100));
        return pause.async_wait([this](const error_code& stopped) {
          if (!stopped) accept();
        });
      }
      take(std::move(socket));
      accept();
    });
  }

  void take(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::unique_lock lock(mutex);
    const bool full = std::ssize(open) >= limits.max_connections;
    // A crowd of those that are turned away is not even told.
    if (std::ssize(open) >= 2 * limits.max_connections) return;
    const auto entry = open.emplace(open.end());
    const auto connection =
        make_connection(std::move(socket), handler, limits, [this, entry] { forget(entry); });
    *entry = connection;
    lock.unlock();
    full ? connection->turn_away() : connection->start();
  }

  void forget(std::list<std::weak_ptr<Connection>>::iterator entry) {
    const std::scoped_lock lock(mutex);
    open.erase(entry);
    changed.notify_all();
  }

  void finish_all() {
    finishing = true;
    error_code ignored;
    acceptor.close(ignored);
    // The last owner of a connection, which may be this one, takes the lock again.
    std::vector<std::shared_ptr<Connection>> all;
    {
      const std::scoped_lock lock(mutex);
      for (const auto& entry : open) all.push_back(entry.lock());
    }
    for (const auto& connection : all) {
      if (connection) connection->finish();
    }
  }

  HttpLimits limits;
  HttpHandler handler;
  // Before `io`, with which the last connections go.
  std::mutex mutex;
  std::condition_variable changed;
  std::list<std::weak_ptr<Connection>> open;
  asio::io_context io{threads};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::strand<asio::io_context::executor_type> accepting{io.get_executor()};
  tcp::acceptor acceptor{accepting};
  int64_t bound_port = 0;
  asio::steady_timer pause{accepting};
  asio::signal_set signals{accepting};
  std::vector<std::thread> running;
  bool finishing = false;  ///< read and written by `accepting` alone
};

HttpServer::HttpServer(const std::string& host, int64_t port, HttpLimits limits)
    : state_(std::make_unique<State>(limits)) {
  state_->listen(host, port);
}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::stop() {
  state_->io.stop();
  for (std::thread& one : state_->running) one.join();
  state_->running.clear();
}

void HttpServer::start(HttpHandler handler, std::function<void(int signal)> on_signal) {
  State* state = state_.get();
  state->handler = std::move(handler);
  if (on_signal) {
    state->signals.add(SIGINT);
    state->signals.add(SIGTERM);
    state->signals.async_wait([state, on_signal](const error_code& error, int signal) {
      if (error) return;
      error_code ignored;
      state->signals.clear(ignored);
      on_signal(signal);
    });
  }
  asio::post(state->accepting, [state] { state->accept(); });
  for (int i = 0; i < threads; ++i) state->running.emplace_back([state] { state->io.run(); });
}

void HttpServer::finish() {
  asio::post(state_->accepting, [state = state_.get()] { state->finish_all(); });
}

bool HttpServer::wait_until_closed(double seconds) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::duration<double>(seconds),
                                  [this] { return state_->open.empty(); });
}

int64_t HttpServer::port() const {
  return state_->bound_port;
}

int64_t HttpServer::connections() const {
  const std::scoped_lock lock(state_->mutex);
  return std::ssize(state_->open);
}

}  // namespace lowrank::serve
