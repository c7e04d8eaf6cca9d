#include "serve/http/request_head.h"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>

namespace lowrank::serve {

namespace http = boost::beast::http;
using boost::system::error_code;

RequestProblem problem_of(const error_code& error) {
  if (error == http::error::body_limit) return {413, "the request's body is too large"};
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return {431, "the request's headers are too large"};
  return {400, "the request is not valid HTTP"};
}

bool is_malformed(const error_code& error) {
  const bool by_parser = error.category() == http::make_error_code(http::error::body_limit).category();
  return by_parser && error != http::error::end_of_stream && error != http::error::partial_message;
}

HttpRequest request_of(const ParsedRequest& head) {
  const auto field = [&](http::field name) { return std::string(head[name]); };
  HttpRequest request;
  request.method = head.method_string();
  request.host = field(http::field::host);
  request.origin = field(http::field::origin);
  request.authorization = field(http::field::authorization);
  request.content_encoding = field(http::field::content_encoding);
  request.requested_headers = field(http::field::access_control_request_headers);
  return request;
}

std::optional<RequestProblem> take_path(const ParsedRequest& head, HttpRequest& request) {
  if (const auto coding = head[http::field::transfer_encoding];
      !coding.empty() && !boost::beast::iequals(coding, "chunked"))
    return RequestProblem{501, "of transfer encodings only chunked is known"};
  const auto path = path_of_target(head.target());
  if (!path) return RequestProblem{400, "the path of the request is malformed"};
  request.path = *path;
  if (head.count(http::field::host) > 1) return RequestProblem{400, "the request has several Host headers"};
  return std::nullopt;
}

Expectation expectation_of(const ParsedRequest& head) {
  const auto expected = head[http::field::expect];
  if (expected.empty()) return Expectation::none;
  return boost::beast::iequals(expected, "100-continue") ? Expectation::go_on : Expectation::unknown;
}

}  // namespace lowrank::serve
