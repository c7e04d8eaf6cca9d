#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/places.h"
#include "tokenizer/tokenizer.h"

namespace lowrank::test {

inline std::filesystem::path text_fixture(const std::string& name) {
  return fixture("text") / name;
}

inline nlohmann::json json_of(const std::filesystem::path& path) {
  return nlohmann::json::parse(std::ifstream(path));
}

/// The awkward texts, in the order of each tokenizer's expected.json.
inline std::vector<std::string> torture() {
  return json_of(text_fixture("torture.json"));
}

/// A folder for the running test, removed with it.
class Scratch {
 public:
  Scratch() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string(test->test_suite_name()) + "." + test->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The message of the Error that `action` throws, with a failed expectation if it throws none or another
/// kind.
template <typename Action>
std::string message_of(ErrorKind kind, Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

/// Expects an Error of this kind whose message contains `part`.
template <typename Action>
void expect_failure(ErrorKind kind, std::string_view part, Action action) {
  const std::string message = message_of(kind, action);
  EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
}

}  // namespace lowrank::test
