#pragma once

#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace lowrank::test {

/// A connection to a port of this machine, byte by byte.
class RawClient {
 public:
  explicit RawClient(int64_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{60, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { leave(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// Goes away.
  void leave() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  /// As much as the server takes.
  RawClient& send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return *this;
  }

  RawClient& request(const std::string& method, const std::string& path, const std::string& body = "",
                     const std::string& headers = "") {
    return send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
  }

  /// Reads until the text is there, or the server closes.
  std::string until(std::string_view text) {
    std::string read;
    while (read.find(text) == std::string::npos && more(read)) {
    }
    return read;
  }

  /// Reads until the server closes.
  std::string everything() {
    std::string read;
    while (more(read)) {
    }
    return read;
  }

  /// Reads one answer of a known length.
  std::string answer() {
    std::string read = until("\r\n\r\n");
    const size_t body = read.find("\r\n\r\n") + 4;
    const size_t length = read.find("Content-Length: ");
    if (length == std::string::npos || length > body) return read;
    const size_t end = body + std::strtoul(read.c_str() + length + 16, nullptr, 10);
    while (read.size() < end && more(read)) {
    }
    return read;
  }

 private:
  bool more(std::string& read) {
    std::array<char, 4096> piece{};
    const ssize_t count = ::recv(socket_, piece.data(), piece.size(), 0);
    if (count <= 0) return false;
    read.append(piece.data(), static_cast<size_t>(count));
    return true;
  }

  int socket_;
};

/// The status of an answer; 0: there is none.
inline int status_of(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 ") ? std::atoi(answer.c_str() + 9) : 0;
}

/// The part of an answer after its head.
inline std::string body_of(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace lowrank::test
