#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowrank {

/// What Python's str knows about characters; their properties are ICU's.

/// The character that begins at `offset`, U+FFFD for bytes that are not UTF-8; `offset` moves behind it.
char32_t next_character(std::string_view text, size_t& offset);
/// The character that ends at `offset`, which moves to its start.
char32_t previous_character(std::string_view text, size_t& offset);
/// Appends a character as UTF-8.
void append_character(std::string& text, char32_t character);

/// Python's str.isspace of a character.
bool is_space(char32_t character);
/// The text without white space at its ends.
std::string_view without_spaces(std::string_view text);
/// Whether Python's repr shows the character as it is.
bool is_printable(char32_t character);
/// Whether the character's general category is a punctuation (P), a symbol (S) or a number (N).
bool is_punctuation(char32_t character);
bool is_symbol(char32_t character);
bool is_number(char32_t character);
/// Whether the character has a case.
bool is_cased(char32_t character);
/// Whether a name may begin, or go on, with the character.
bool begins_name(char32_t character);
bool continues_name(char32_t character);

enum class CharacterClass { alpha, digit, decimal, numeric, alnum, space };
/// str.isalpha and its kin: whether the text is not empty and all its characters are in the class.
bool all_are(std::string_view text, CharacterClass what);
/// str.isupper, str.islower: at least one cased character, and all of them in that case.
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);

/// Python's str.upper and str.lower.
std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);
/// The first character in title case, the others in lower case, as str.capitalize.
std::string capitalized(std::string_view text);
std::string swapped_case(std::string_view text);

}  // namespace lowrank
