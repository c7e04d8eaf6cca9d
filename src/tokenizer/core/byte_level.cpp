#include "tokenizer/core/byte_level.h"

#include <array>
#include <cstdint>

namespace lowrank {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<uint16_t, 256> alphabet = [] {
  std::array<uint16_t, 256> characters{};
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    characters[byte] = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
  }
  return characters;
}();

constexpr std::array<int16_t, 0x144> bytes_by_character = [] {
  std::array<int16_t, 0x144> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte) bytes[alphabet[byte]] = static_cast<int16_t>(byte);
  return bytes;
}();

struct Sequence {
  int length = 0;  ///< bytes read; at least 1
  bool valid = false;
  bool cut = false;  ///< the text ends before the sequence does
};

/// The UTF-8 sequence at the front, by the rules of Unicode's table 3-7: an invalid one ends before the first
/// wrong byte.
Sequence next_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false};
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {i, false, true};
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (byte(i) < low || byte(i) > high) return {i, false, false};
  }
  return {length, true, false};
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const uint16_t character = alphabet[static_cast<uint8_t>(c)];
    if (character < 0x80) {
      text += static_cast<char>(character);
    } else {
      text += static_cast<char>(0xC0 | character >> 6);
      text += static_cast<char>(0x80 | (character & 0x3F));
    }
  }
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size(); ++i) {
    unsigned character = static_cast<uint8_t>(token[i]);
    if (character >= 0x80) {
      if ((character & 0xE0) != 0xC0 || i + 1 == token.size()) return std::nullopt;
      character = (character & 0x1F) << 6 | (static_cast<uint8_t>(token[++i]) & 0x3F);
    }
    if (character >= bytes_by_character.size() || bytes_by_character[character] < 0) return std::nullopt;
    bytes += static_cast<char>(bytes_by_character[character]);
  }
  return bytes;
}

std::string replace_malformed(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Sequence sequence = next_sequence(bytes);
    if (sequence.valid) {
      text += bytes.substr(0, sequence.length);
    } else {
      text += "\xEF\xBF\xBD";
    }
    bytes.remove_prefix(sequence.length);
  }
  return text;
}

size_t complete_prefix(std::string_view bytes) {
  // A cut-off character can only begin in the last three bytes.
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const std::string_view tail = bytes.substr(bytes.size() - back);
    if ((static_cast<uint8_t>(tail.front()) & 0xC0) == 0x80) continue;
    return next_sequence(tail).cut ? bytes.size() - back : bytes.size();
  }
  return bytes.size();
}

std::optional<size_t> first_malformed(std::string_view bytes) {
  for (size_t offset = 0; offset < bytes.size();) {
    const Sequence sequence = next_sequence(bytes.substr(offset));
    if (!sequence.valid) return offset;
    offset += sequence.length;
  }
  return std::nullopt;
}

}  // namespace lowrank
