#include "base/text/characters.h"

#include <algorithm>

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/ustring.h>
#include <unicode/utf8.h>

namespace lowrank {
namespace {

bool ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char ascii_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}
char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

icu::UnicodeString utf16(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string utf8(const icu::UnicodeString& text) {
  std::string bytes;
  text.toUTF8String(bytes);
  return bytes;
}

std::string title_character(char32_t character) {
  if (character < 0x80) return std::string(1, ascii_upper(static_cast<char>(character)));
  icu::UnicodeString text(static_cast<UChar32>(character));
  text.toTitle(nullptr, icu::Locale::getRoot(), U_TITLECASE_NO_BREAK_ADJUSTMENT);
  return utf8(text);
}

bool in_class(char32_t character, CharacterClass what) {
  const auto c = static_cast<UChar32>(character);
  const auto numeric = [&] { return u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE); };
  switch (what) {
    case CharacterClass::alpha:
      return u_isalpha(c);
    case CharacterClass::decimal:
      return numeric() == U_NT_DECIMAL;
    case CharacterClass::digit:
      return numeric() == U_NT_DECIMAL || numeric() == U_NT_DIGIT;
    case CharacterClass::numeric:
      return numeric() != U_NT_NONE;
    case CharacterClass::alnum:
      return u_isalpha(c) || numeric() != U_NT_NONE;
    case CharacterClass::space:
      return is_space(character);
  }
  return false;
}

}  // namespace

char32_t next_character(std::string_view text, size_t& offset) {
  UChar32 character = 0;
  U8_NEXT_OR_FFFD(text.data(), offset, text.size(), character);
  return static_cast<char32_t>(character);
}

char32_t previous_character(std::string_view text, size_t& offset) {
  auto at = static_cast<int32_t>(offset);
  UChar32 character = 0;
  U8_PREV_OR_FFFD(text.data(), 0, at, character);
  offset = static_cast<size_t>(at);
  return static_cast<char32_t>(character);
}

void append_character(std::string& text, char32_t character) {
  char bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, character);
  text.append(bytes, static_cast<size_t>(size));
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::string_view without_spaces(std::string_view text) {
  size_t begin = 0, end = text.size();
  for (size_t next = 0; next < end && is_space(next_character(text, next));) begin = next;
  for (size_t next = end; next > begin && is_space(previous_character(text, next));) end = next;
  return text.substr(begin, end - begin);
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  const auto mask = U_MASK(u_charType(static_cast<UChar32>(c)));
  return (mask & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
}

bool is_punctuation(char32_t c) {
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_P_MASK) != 0;
}

bool is_symbol(char32_t c) {
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_S_MASK) != 0;
}

bool is_number(char32_t c) {
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_N_MASK) != 0;
}

bool is_cased(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASED);
}

bool begins_name(char32_t c) {
  return c == '_' ||
         (c < 0x80 ? ascii_upper(static_cast<char>(c)) >= 'A' && ascii_upper(static_cast<char>(c)) <= 'Z'
                   : u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_XID_START));
}

bool continues_name(char32_t c) {
  return begins_name(c) || (c >= '0' && c <= '9') ||
         (c >= 0x80 && u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_XID_CONTINUE));
}

bool all_are(std::string_view text, CharacterClass what) {
  for (size_t at = 0; at < text.size();) {
    if (!in_class(next_character(text, at), what)) return false;
  }
  return !text.empty();
}

bool is_upper(std::string_view text) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(next_character(text, at));
    if (u_isULowercase(c) || u_istitle(c)) return false;
    any = any || u_isUUppercase(c);
  }
  return any;
}

bool is_lower(std::string_view text) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(next_character(text, at));
    if (u_isUUppercase(c) || u_istitle(c)) return false;
    any = any || u_isULowercase(c);
  }
  return any;
}

std::string upper_case(std::string_view text) {
  std::string result(text);
  if (!ascii(text)) return utf8(utf16(text).toUpper(icu::Locale::getRoot()));
  std::transform(result.begin(), result.end(), result.begin(), ascii_upper);
  return result;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  if (!ascii(text)) return utf8(utf16(text).toLower(icu::Locale::getRoot()));
  std::transform(result.begin(), result.end(), result.begin(), ascii_lower);
  return result;
}

std::string capitalized(std::string_view text) {
  if (text.empty()) return {};
  size_t first = 0;
  const char32_t c = next_character(text, first);
  return title_character(c) + lower_case(text.substr(first));
}

std::string swapped_case(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const auto c = static_cast<UChar32>(next_character(text, at));
    const std::string_view one = text.substr(begin, at - begin);
    result += u_isUUppercase(c) ? lower_case(one) : u_isULowercase(c) ? upper_case(one) : std::string(one);
  }
  return result;
}

}  // namespace lowrank
