#pragma once

#include <exception>
#include <string>

namespace lowrank {

/// The message of an exception that is not ours, as one sentence without names of libraries and functions.
std::string sentence_of(const std::exception& error);

}  // namespace lowrank
