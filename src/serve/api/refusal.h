#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "serve/http/message.h"

namespace lowrank::serve {

/// A request that is not served: a status and a sentence, and the parameter at fault if it is one.
class Refusal : public Error {
 public:
  Refusal(int status, const std::string& message, std::string parameter = {}, std::string code = {})
      : Error(ErrorKind::invalid, message),
        status_(status),
        parameter_(std::move(parameter)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& parameter() const { return parameter_; }
  const std::string& code() const { return code_; }

 private:
  int status_;
  std::string parameter_, code_;
};

/// Throws a Refusal with status 400 of a parameter, whose sentence is formatted as fmt::format does.
template <typename... Args>
[[noreturn]] void refuse(std::string parameter, fmt::format_string<Args...> format, Args&&... args) {
  throw Refusal(400, fmt::format(format, std::forward<Args>(args)...), std::move(parameter));
}

/// The refusal that an error of the library means for a client.
Refusal refusal_of(const Error& error);

/// The answer to a refused request, in OpenAI's form: {"error": {"message", "type", "param", "code"}}.
HttpResponse refusal_response(const Refusal& refusal);
/// Its body.
std::string refusal_json(const Refusal& refusal);

}  // namespace lowrank::serve
