#pragma once

#include <exception>
#include <functional>
#include <string>

namespace lowrank {

/// What an exception that is none of ours says, as one sentence without the names of libraries and functions.
std::string sentence_of(const std::exception& error);

/// Runs the program's work and returns its exit code, once standard output is written. Whatever it throws
/// becomes "error: " and a sentence on standard error, without control characters, and exit code 1 (128 and
/// the signal's number after one: 130, 143). A reader of standard output that went away, as `head` does, ends
/// it quietly with 141, as SIGPIPE does.
int reported(const std::function<int()>& work);

}  // namespace lowrank
