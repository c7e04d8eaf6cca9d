#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <optional>

#include "serve/http/message.h"

namespace lowrank::serve {

/// A request as Beast's parser gives it.
using ParsedRequest = boost::beast::http::request<boost::beast::http::string_body>;

/// Why a request is refused: a status, and a sentence for the client.
struct RequestProblem {
  int status;
  const char* message;
};

/// What is wrong with a request that the parser refuses with this error.
RequestProblem problem_of(const boost::system::error_code& error);

/// True for an error that the parser found in what the client sent; false where the connection failed or
/// ended.
bool is_malformed(const boost::system::error_code& error);

/// What the head of a request says, without its path, which may be malformed.
HttpRequest request_of(const ParsedRequest& head);

/// Takes the path over, or tells what of the head this server cannot serve: another transfer encoding than
/// chunked, a malformed path, several hosts.
std::optional<RequestProblem> take_path(const ParsedRequest& head, HttpRequest& request);

/// What a client waits for before it sends the body.
enum class Expectation { none, go_on, unknown };
Expectation expectation_of(const ParsedRequest& head);

}  // namespace lowrank::serve
