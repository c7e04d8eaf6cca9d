// The HTTP server over real sockets, with a service that echoes.
#include "serve/http/server.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"
#include "serve/raw_client.h"

namespace lowrank::serve {
namespace {

using test::body_of;
using test::RawClient;
using test::status_of;

/// Answers with the body; /stream sends it piece by piece; /wait answers when the test says so.
class Echo {
 public:
  HttpHandler handler() {
    HttpHandler handler;
    handler.refusal = [](const HttpRequest& head) -> std::optional<HttpResponse> {
      if (head.path == "/refused") return HttpResponse{403, "no"};
      return std::nullopt;
    };
    handler.handle = [this](const HttpRequest& request, std::shared_ptr<Exchange> exchange) {
      if (request.path == "/stream") {
        exchange->begin({});
        for (const char c : request.body) exchange->send(std::string(1, c));
        return exchange->end();
      }
      if (request.path == "/flood") return flood(exchange);
      if (request.path != "/wait")
        return exchange->answer({200, request.method + request.path + request.body});
      exchange->on_gone([this] { ++gone; });
      const std::scoped_lock lock(mutex);
      waiting.push_back(exchange);
    };
    handler.problem = [](int status, const std::string& message) { return HttpResponse{status, message}; };
    handler.record = [this](const HttpRecord& record) {
      const std::scoped_lock lock(mutex);
      records.push_back(record);
    };
    return handler;
  }

  /// Sends without end.
  void flood(const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([this] { ++gone; });
    exchange->begin({});
    const auto more = std::make_shared<std::function<void()>>();
    *more = [this, exchange, weak = std::weak_ptr(more)] {
      exchange->send(std::string(1 << 16, 'x'));
      if (const auto again = weak.lock(); again && gone == 0) exchange->post(*again);
    };
    exchange->post(*more);
    const std::scoped_lock lock(mutex);
    kept = more;
  }

  bool is_waiting() {
    const std::scoped_lock lock(mutex);
    return !waiting.empty();
  }

  void release() {
    const std::scoped_lock lock(mutex);
    for (const auto& exchange : waiting) exchange->post([exchange] { exchange->answer({200, "waited"}); });
    waiting.clear();
  }

  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> waiting;
  std::shared_ptr<std::function<void()>> kept;
  std::vector<HttpRecord> records;
  std::atomic<int> gone = 0;
};

/// Few connections, small bodies; times that a busy machine keeps too, but for bodies.
HttpLimits small_server() {
  HttpLimits limits;
  limits.max_body_mb = 1;
  limits.header_timeout = limits.idle_timeout = limits.write_timeout = 60;
  limits.body_timeout = 3;
  limits.max_connections = 8;
  return limits;
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() { server.start(echo.handler(), nullptr); }

  std::string asked(const std::string& text) const {
    return RawClient(server.port()).send(text).everything();
  }
  int status(const std::string& text) const { return status_of(asked(text)); }

  /// Waits until a condition holds, at most ten seconds.
  static bool soon(const std::function<bool()>& holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  Echo echo;
  HttpServer server{"127.0.0.1", 0, small_server()};
};

TEST_F(HttpServerTest, KeepsConnections) {
  RawClient client(server.port());
  EXPECT_EQ(body_of(client.request("POST", "/a%20b?x=1", "one").answer()), "POST/a bone");
  EXPECT_EQ(body_of(client.request("GET", "/c").answer()), "GET/c");
  EXPECT_EQ(client.request("GET", "/d", "", "Connection: close\r\n").everything().find("GET/d") !=
                std::string::npos,
            true);
  const std::string old = asked("GET /e HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(old), "GET/e");
  const std::string head = asked("HEAD /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(body_of(head), "");
  EXPECT_NE(head.find("Content-Length: 6"), std::string::npos);
}

TEST_F(HttpServerTest, RequestsThatFollowAtOnceAreAnsweredInOrder) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string answers = asked(text + "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = answers.find("GET/" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(answers.find("GET/last", at), std::string::npos);
}

TEST_F(HttpServerTest, ChunkedBodies) {
  const std::string head =
      "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(body_of(asked(head + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")), "POST/xabcde");
  for (const char* size : {"-2", "ffffffffffffffff", "fffffffffffffffff", "zz", "", " 5", "0x10"})
    EXPECT_EQ(status(head + size + "\r\nhello\r\n0\r\n\r\n") / 100, 4) << size;
  EXPECT_EQ(status(head + "5;" + std::string(1'000'000, 'a') + "\r\nhello\r\n0\r\n\r\n") / 100, 4);
  std::string endless;
  for (int i = 0; i < 40; ++i) endless += "10000\r\n" + std::string(65536, 'x') + "\r\n";
  EXPECT_EQ(status(head + endless), 413);
  EXPECT_EQ(status(head + "2\r\n{}\r\n"), 0) << "no last chunk: closed after the body's time";
}

TEST_F(HttpServerTest, StreamsInChunks) {
  const std::string streamed =
      RawClient(server.port()).request("POST", "/stream", "abc", "Connection: close\r\n").everything();
  EXPECT_NE(streamed.find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_EQ(body_of(streamed), "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
  const std::string old = asked("POST /stream HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(body_of(old), "abc");
}

TEST_F(HttpServerTest, WhatIsNoRequest) {
  const std::string line = "GET / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(status(line + "X: " + std::string(1'000'000, 'a') + "\r\n\r\n"), 431);
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "a: b\r\n";
  EXPECT_EQ(status(line + many + "\r\n"), 431);
  EXPECT_EQ(status("GET /" + std::string(1'000'000, 'a') + " HTTP/1.1\r\n\r\n") / 100, 4);
  for (const char* wrong :
       {"Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 1e3", "bad header",
        "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: gzip", "Host: second", "Expect: something\r\nContent-Length: 1"})
    EXPECT_GE(status(line + wrong + "\r\n\r\n"), 400) << wrong;
  for (const char* first :
       {"GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n"})
    EXPECT_EQ(status(first), 400) << first;
}

TEST_F(HttpServerTest, BodiesAreBounded) {
  const std::string head = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n";
  EXPECT_EQ(status(head + "\r\n" + std::string(100'000, 'x')), 413);
  EXPECT_EQ(status(head + "Expect: 100-continue\r\n\r\n"), 413) << "before the client sends it";
  RawClient client(server.port());
  client.send(
      "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_TRUE(client.until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
  EXPECT_EQ(body_of(client.send("abc").everything()), "POST/xabc");
  EXPECT_EQ(status("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"), 403);
}

TEST_F(HttpServerTest, SlowClientsAreClosed) {
  HttpLimits limits;
  limits.header_timeout = limits.body_timeout = 1;
  HttpServer impatient("127.0.0.1", 0, limits);
  impatient.start(echo.handler(), nullptr);
  const auto started = std::chrono::steady_clock::now();
  RawClient headers(impatient.port()), body(impatient.port()), silent(impatient.port());
  body.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
  headers.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 12; ++i) {
    headers.send("a");
    body.send("a");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(headers.everything(), "");
  EXPECT_EQ(body.everything(), "");
  EXPECT_EQ(silent.everything(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(40));
}

TEST_F(HttpServerTest, NoticesWhoGoesAway) {
  RawClient client(server.port());
  client.request("GET", "/wait");
  ASSERT_TRUE(soon([&] { return echo.is_waiting(); }));
  client.leave();
  EXPECT_TRUE(soon([&] { return echo.gone == 1; }));
  echo.release();
  EXPECT_TRUE(soon([&] { return server.connections() == 0; }));
  const std::scoped_lock lock(echo.mutex);
  ASSERT_EQ(echo.records.size(), 1U);
  EXPECT_EQ(echo.records[0].status, 0);
}

TEST_F(HttpServerTest, NoticesWhoGoesAwayAfterBytesBehindTheBody) {
  for (const char* behind : {"\r\n", "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    echo.gone = 0;
    RawClient client(server.port());
    client.request("POST", "/wait", "{}");
    client.send(behind);
    ASSERT_TRUE(soon([&] { return echo.is_waiting(); }));
    client.leave();
    EXPECT_TRUE(soon([&] { return echo.gone == 1; })) << behind;
    echo.release();
    EXPECT_TRUE(soon([&] { return server.connections() == 0; }));
  }
}

TEST_F(HttpServerTest, WhatArrivesDuringAnAnswerIsTheNextRequest) {
  for (const size_t length : {size_t{0}, size_t{10}, size_t{15'000}, size_t{200'000}}) {
    RawClient client(server.port());
    client.request("GET", "/wait");
    ASSERT_TRUE(soon([&] { return echo.is_waiting(); }));
    const std::string body(length, 'x');
    const std::string next =
        "POST /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + std::to_string(length) +
        "\r\n\r\n" + body;
    client.send(next.substr(0, next.size() / 2));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    echo.release();
    EXPECT_EQ(body_of(client.answer()), "waited");
    EXPECT_EQ(body_of(client.send(next.substr(next.size() / 2)).everything()), "POST/next" + body);
  }
  EXPECT_EQ(echo.gone, 0);
}

TEST_F(HttpServerTest, WhoStopsReadingIsDropped) {
  RawClient client(server.port());
  client.request("GET", "/flood");
  EXPECT_TRUE(soon([&] { return echo.gone == 1; }));
  const std::scoped_lock lock(echo.mutex);
  echo.kept.reset();
}

TEST_F(HttpServerTest, TurnsAwayACrowd) {
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 8; ++i) crowd.push_back(std::make_unique<RawClient>(server.port()));
  ASSERT_TRUE(soon([&] { return server.connections() == 8; }));
  EXPECT_EQ(status_of(RawClient(server.port()).everything()), 503);
  crowd.clear();
  ASSERT_TRUE(soon([&] { return server.connections() < 8; }));
  EXPECT_EQ(status_of(RawClient(server.port()).request("GET", "/").answer()), 200);
}

TEST_F(HttpServerTest, FinishesWhatItAnswers) {
  RawClient waiting(server.port()), idle(server.port());
  EXPECT_EQ(status_of(idle.request("GET", "/").answer()), 200);
  waiting.request("GET", "/wait");
  ASSERT_TRUE(soon([&] { return echo.is_waiting(); }));
  server.finish();
  EXPECT_EQ(idle.everything(), "") << "closed at once";
  EXPECT_FALSE(server.wait_until_closed(0.1));
  echo.release();
  EXPECT_EQ(body_of(waiting.everything()), "waited");
  EXPECT_TRUE(server.wait_until_closed(10));
}

TEST_F(HttpServerTest, PortsInUseAreToldAtOnce) {
  EXPECT_THROW(HttpServer("127.0.0.1", server.port(), {}), Error);
  EXPECT_THROW(HttpServer("no address", 0, {}), Error);
}

}  // namespace
}  // namespace lowrank::serve
