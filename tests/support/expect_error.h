#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank::test {

/// Expects `action` to throw an Error of this kind whose message, one line of bounded length, contains `file`
/// and `part`.
template <typename Action>
void expect_error(ErrorKind kind, std::string_view file, std::string_view part, Action action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one with: " << part;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_NE(message.find(file), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000U) << message;
  }
}

}  // namespace lowrank::test
