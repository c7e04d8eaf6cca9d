#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lowrank {

/// An option without which nothing can be done is not given, which is wrong usage rather than a failure.
class MissingOption : public Error {
 public:
  explicit MissingOption(const std::string& sentence) : Error(ErrorKind::invalid, sentence) {}
};

/// Checks that each of these options, with its name, is given. Errors: MissingOption, which names all that
/// are not.
void need_options(const std::vector<std::pair<std::string_view, const std::string*>>& needed);

/// The message of an exception that is not ours, as one sentence without names of libraries and functions.
std::string sentence_of(const std::exception& error);

}  // namespace lowrank
