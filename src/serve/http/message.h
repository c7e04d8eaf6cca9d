#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::serve {

/// A request as the rest of the server sees it.
struct HttpRequest {
  std::string method;  ///< "GET"
  std::string path;    ///< decoded, without the query
  std::string host, origin, authorization, content_encoding, requested_headers;
  std::string body;
};

/// A header's name and value.
using HttpHeader = std::pair<std::string, std::string>;

/// An answer, or the head of one that is sent piece by piece.
struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers = {};  ///< further ones
};

/// How the length of an answer's body is told.
enum class BodyLength { known, chunked, until_close };

/// A time as headers write it: "Sun, 06 Nov 1994 08:49:37 GMT". `seconds`: since 1970.
std::string date_text(int64_t seconds);

/// The status line and the headers, with the empty line after them.
std::string head_text(const HttpResponse& response, BodyLength length, bool keep_alive);

/// A piece of a chunked body; an empty one would end it.
std::string chunk(std::string_view piece);
/// What ends a chunked body.
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

/// The words of a status: "Not Found".
std::string_view reason_phrase(int status);

/// The path of a request target, "/v1/models/my%20adapter?limit=1": decoded, without the query. An absolute
/// target ("http://host/path") is allowed. Nothing if it is malformed, has a zero byte, or is longer than
/// 2048 bytes.
std::optional<std::string> path_of_target(std::string_view target);

}  // namespace lowrank::serve
