#include "base/log.h"

#include <gtest/gtest.h>

namespace lowrank {
namespace {

TEST(Log, PlainLinesOnStandardError) {
  testing::internal::CaptureStderr();
  info("step {} of {}", 1, 2);
  warn("odd {}", "file");
  log_info("a {brace}\n and \033[31mcolour");
  // If standard error is a terminal, each line is preceded by clearing the line; captured, it is a file.
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("step 1 of 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("warning: odd file\n"), std::string::npos) << text;
  EXPECT_NE(text.find("a {brace}  and  [31mcolour\n"), std::string::npos) << text;
}

TEST(Log, QuietKeepsWarnings) {
  testing::internal::CaptureStderr();
  set_quiet(true);
  EXPECT_TRUE(is_quiet());
  info("hidden");
  warn("shown");
  set_quiet(false);
  EXPECT_FALSE(is_quiet());
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_NE(text.find("warning: shown"), std::string::npos);
}

}  // namespace
}  // namespace lowrank
