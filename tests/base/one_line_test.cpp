#include "base/one_line.h"

#include <gtest/gtest.h>

namespace lowrank {
namespace {

TEST(OneLine, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(one_line("plain \"naïve\" 😀 \\"), "plain \"naïve\" 😀 \\");
  EXPECT_EQ(one_line("a\nb\x1B[31m\x7F"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(one_line("\xC2\x9B"), "\\xc2\\x9b");
  EXPECT_EQ(in_quotes("a\"b\\"), "\"a\\x22b\\x5c\"");
}

TEST(OneLine, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(one_line("\xFF"), "\\xff");
  EXPECT_EQ(one_line("\xC3"), "\\xc3");
  EXPECT_EQ(one_line("\xC0\x80"), "\\xc0\\x80");
  EXPECT_EQ(one_line("\xED\xA0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(one_line("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(one_line("\xE2\x82"), "\\xe2\\x82");
}

TEST(OneLine, CutsBetweenCharacters) {
  EXPECT_EQ(one_line("abcdef", 6), "abcdef");
  EXPECT_EQ(one_line("abcdef", 3), "abc...");
  EXPECT_EQ(one_line("aüüü", 2), "aü...");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')), "\"" + std::string(80, 'x') + "...\"");
}

TEST(OneLine, CountsInTheRightNumber) {
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(-1, "step"), "-1 steps");
  EXPECT_EQ(counted(12, "step"), "12 steps");
}

}  // namespace
}  // namespace lowrank
