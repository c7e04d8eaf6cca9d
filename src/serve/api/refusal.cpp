#include "serve/api/refusal.h"

#include <string_view>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace lowrank::serve {
namespace {

constexpr int unauthorized = 401, not_found = 404, too_many = 429, internal = 500, unavailable = 503;

std::string_view type_of_status(int status) {
  if (status == unauthorized) return "authentication_error";
  if (status == not_found) return "not_found_error";
  if (status == too_many) return "rate_limit_error";
  return status >= internal ? "server_error" : "invalid_request_error";
}

}  // namespace

Refusal refusal_of(const Error& error) {
  if (const auto* refusal = dynamic_cast<const Refusal*>(&error)) return *refusal;
  switch (error.kind()) {
    case ErrorKind::not_found:
      return {not_found, error.what()};
    case ErrorKind::io:
      return {internal, error.what()};
    case ErrorKind::interrupted:
      return {unavailable, "the server is stopping"};
    default:
      return {400, error.what()};
  }
}

std::string refusal_json(const Refusal& refusal) {
  const auto or_null = [](const std::string& text) -> nlohmann::ordered_json {
    if (text.empty()) return nullptr;
    return text;
  };
  return json_text(nlohmann::ordered_json{{"error",
                                           {{"message", refusal.what()},
                                            {"type", type_of_status(refusal.status())},
                                            {"param", or_null(refusal.parameter())},
                                            {"code", or_null(refusal.code())}}}});
}

HttpResponse refusal_response(const Refusal& refusal) {
  HttpResponse response{refusal.status(), refusal_json(refusal)};
  if (refusal.status() == unauthorized) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (refusal.status() == too_many || refusal.status() == unavailable)
    response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace lowrank::serve
