#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <unicode/uniset.h>
#include <unicode/utf8.h>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// Calls `visit` with each character of valid UTF-8 and its bytes.
template <typename Visit>
void each_character(std::string_view text, Visit visit) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    UChar32 character = 0;
    U8_NEXT_UNSAFE(bytes, end, character);
    visit(character, text.substr(begin, end - begin));
  }
}

/// A set in ICU's notation, such as [[:Mn:]&[:Age=8.0:]]; it expresses the reference's old tables.
icu::UnicodeSet character_set(const char* notation);

/// The text without the characters of a set.
std::string without(std::string_view text, const icu::UnicodeSet& set);

/// Each character in lower case, regardless of its neighbours; characters newer than ICU's tables are kept.
std::string lowercase(std::string_view text);

/// One of Unicode's normal forms. Errors: invalid when ICU fails.
std::string normal_form(std::string_view text, TextForm form);

}  // namespace lowrank
