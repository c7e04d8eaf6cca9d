#include "serve/http/access.h"

#include <algorithm>

namespace lowrank::serve {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

/// The key of "Bearer KEY".
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (lower_case(authorization.substr(0, scheme.size())) != scheme) return {};
  std::string_view key = authorization.substr(scheme.size());
  while (key.starts_with(' ')) key.remove_prefix(1);
  return key;
}

/// Whether an Origin header is that of the server's own pages.
bool is_own_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && lower_case(origin.substr(scheme + 3)) == lower_case(host);
}

bool has(const std::vector<std::string>& list, std::string_view entry) {
  return std::ranges::find(list, entry) != list.end();
}

bool has_digits_alone(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Whether a host is 127.a.b.c with numbers of at most three digits.
bool is_dotted_loopback(std::string_view host) {
  constexpr size_t most_digits = 3;
  if (!host.starts_with("127.")) return false;
  host.remove_prefix(4);
  for (int dots = 2; dots >= 0; --dots) {
    const size_t end = host.find('.');
    const std::string_view number = host.substr(0, end);
    if (number.empty() || number.size() > most_digits || !has_digits_alone(number)) return false;
    if (end == std::string_view::npos) return dots == 0;
    host.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view expected) {
  volatile unsigned char difference = given.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = expected.empty() ? '\0' : expected[i % expected.size()];
    difference = static_cast<unsigned char>(difference | (given[i] ^ other));
  }
  return difference == 0;
}

std::string host_name(std::string_view authority) {
  const size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return {};
  const size_t end =
      authority.starts_with('[') ? bracket + 1 : std::min(authority.find(':'), authority.size());
  const std::string_view port = authority.substr(end);
  if (!port.empty() && (port.front() != ':' || !has_digits_alone(port.substr(1)))) return {};
  return lower_case(authority.substr(0, end));
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || is_dotted_loopback(host);
}

std::optional<AccessRules::Refusal> AccessRules::refusal(const HttpRequest& head, bool open) const {
  // A page of another site can make a name of its own lead to this machine; the browser still sends that
  // name.
  const std::string name = host_name(head.host);
  if (loopback_only && !is_loopback(name) && (name.empty() || !has(hosts, name)))
    return Refusal{421, "the Host header names another server; this one answers as localhost"};
  const bool foreign = !head.origin.empty() && !is_own_origin(head.origin, head.host);
  if (foreign && cross_origin_headers(head).empty())
    return Refusal{403, "pages of other sites may not call this server; --allow-origin names those that may"};
  // A browser asks for leave (OPTIONS) without the key.
  if (open || api_key.empty() || head.method == "OPTIONS") return std::nullopt;
  const std::string_view key = bearer(head.authorization);
  if (key.empty()) return Refusal{401, "an API key is needed, as the header Authorization: Bearer KEY"};
  if (!equal_in_constant_time(key, api_key)) return Refusal{401, "the API key is wrong"};
  return std::nullopt;
}

std::vector<HttpHeader> AccessRules::cross_origin_headers(const HttpRequest& head) const {
  if (head.origin.empty()) return {};
  if (!has(origins, "*") && !has(origins, head.origin)) return {};
  // Never with credentials: a page must know the key.
  return {{"Access-Control-Allow-Origin", has(origins, "*") ? "*" : head.origin}, {"Vary", "Origin"}};
}

}  // namespace lowrank::serve
