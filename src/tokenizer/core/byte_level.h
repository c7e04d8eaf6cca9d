#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// GPT-2's byte alphabet (Radford et al. 2019): every byte maps to a printable character, so that a
/// vocabulary can be stored as text. Printable Latin-1 characters stand for themselves, the other bytes are
/// numbered from U+0100.

/// Bytes in the alphabet, as UTF-8.
std::string to_byte_alphabet(std::string_view bytes);

/// The bytes that a token in the alphabet stands for; nothing if it contains a character outside the
/// alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view token);

/// The text with every malformed UTF-8 sequence replaced by U+FFFD, as Rust's from_utf8_lossy does.
std::string replace_malformed(std::string_view bytes);

/// Number of leading bytes that form complete characters: a cut-off last character is left out.
size_t complete_prefix(std::string_view bytes);

/// Offset of the first malformed sequence; nothing if the UTF-8 is valid.
std::optional<size_t> first_malformed(std::string_view bytes);

}  // namespace lowrank
