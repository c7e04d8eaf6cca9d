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

TEST(Log, LinesGoToTheSink) {
  std::vector<std::string> lines;
  set_log_sink([&](LogLevel level, std::string_view line) {
    lines.push_back((level == LogLevel::warning ? "! " : "") + std::string(line));
  });
  info("`max_length` is {}", 4);
  warn("odd\nfile");
  set_log_sink({});
  testing::internal::CaptureStderr();
  info("plain");
  EXPECT_EQ(lines, (std::vector<std::string>{"`max_length` is 4", "! odd file"}));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("plain\n"), std::string::npos);
}

}  // namespace
}  // namespace lowrank
