#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/message.h"

namespace lowrank::serve {

/// Who may use the server.
struct AccessRules {
  std::string api_key;               ///< empty: none is needed
  std::vector<std::string> origins;  ///< of other sites whose pages may call; "*": all
  bool loopback_only = true;         ///< the server listens on this machine alone
  std::vector<std::string> hosts;    ///< further names of the server that a request may give as its host

  /// What stands against a request: a status and a sentence. `open`: its path needs no key.
  struct Refusal {
    int status;
    std::string message;
  };
  std::optional<Refusal> refusal(const HttpRequest& head, bool open) const;

  /// Headers that let the page of another site read the answer; empty if its origin is not allowed.
  std::vector<HttpHeader> cross_origin_headers(const HttpRequest& head) const;
};

/// Whether two texts are equal, in a time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view given, std::string_view expected);

/// The name in a Host header or an origin's authority, in lower case, without the port: "[::1]:80" gives
/// "[::1]". Empty if anything but a port follows the name.
std::string host_name(std::string_view authority);

/// Whether a host is this machine itself: localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);

}  // namespace lowrank::serve
