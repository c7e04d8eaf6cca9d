#include "tokenizer/core/byte_level.h"

#include <gtest/gtest.h>

namespace lowrank::test {
namespace {

TEST(ByteLevel, TheAlphabetIsGpt2s) {
  EXPECT_EQ(to_byte_alphabet(" a\n"), "\u0120a\u010A");
  EXPECT_EQ(to_byte_alphabet(std::string_view("\0\x7F\xA0\xAD\xFF", 5)), "\u0100\u0121\u0142\u0143\u00FF");
}

TEST(ByteLevel, EveryByteComesBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(bytes)), bytes);
}

TEST(ByteLevel, OtherCharactersAreNotInTheAlphabet) {
  for (const char* token : {" ", "a b", "\u0144", "\u4E2D", "\U0001F600", "\xC4", "\u00AD"}) {
    EXPECT_EQ(from_byte_alphabet(token), std::nullopt) << token;
  }
}

// Each maximal part of a malformed sequence becomes one U+FFFD, as Unicode recommends (section 3.9).
TEST(ByteLevel, MalformedSequencesAreReplaced) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\xC3\xA9z", "a\u00E9z"},
      {"\x80\xBF", "\uFFFD\uFFFD"},
      {"\xC0\x80", "\uFFFD\uFFFD"},
      {"\xE2\x82z", "\uFFFDz"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xE0\x80\xAF", "\uFFFD\uFFFD\uFFFD"},
      {"\xF1\x80\x80\xE1\x80\xC2\x41", "\uFFFD\uFFFD\uFFFD\x41"},
      {"\xFF\xFE", "\uFFFD\uFFFD"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(replace_malformed(bytes), text);
}

TEST(ByteLevel, ACutCharacterWaits) {
  EXPECT_EQ(complete_prefix(""), 0U);
  EXPECT_EQ(complete_prefix("ab"), 2U);
  EXPECT_EQ(complete_prefix("ab\xC3"), 2U);
  EXPECT_EQ(complete_prefix("ab\xC3\xA9"), 4U);
  EXPECT_EQ(complete_prefix("\xE2\x82"), 0U);
  EXPECT_EQ(complete_prefix("\xF0\x9F\x98"), 0U);
  EXPECT_EQ(complete_prefix("\xF0\x9F\x98\x80"), 4U);
  // No continuation can make these a character.
  EXPECT_EQ(complete_prefix("a\x80"), 2U);
  EXPECT_EQ(complete_prefix("\xED\xA0"), 2U);
}

TEST(ByteLevel, TheFirstMalformedByteIsFound) {
  EXPECT_EQ(first_malformed("\u00E9\u4E2D\U0001F600"), std::nullopt);
  EXPECT_EQ(first_malformed("\u00E9\xFF"), 2U);
  EXPECT_EQ(first_malformed("a\xE2\x82"), 1U);
}

}  // namespace
}  // namespace lowrank::test
