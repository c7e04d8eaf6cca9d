#include "data/shown_example.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/one_line.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

/// The text without what would steer a terminal.
std::string harmless(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool steers = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    shown += steers ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return shown;
}

std::string text_of(const Tokenizer* tokenizer, std::span<const int64_t> ids) {
  if (!tokenizer) return fmt::format(" {} ", fmt::join(ids, " "));
  std::string bytes;
  for (const int64_t id : ids) bytes += tokenizer->bytes_of(id, false);
  return harmless(replace_malformed(bytes));
}

}  // namespace

std::string shown_example(const Example& example, const Tokenizer* tokenizer, const TargetMarks& marks,
                          bool in_array) {
  std::string shown =
      fmt::format("{} {}: {}, {}", in_array ? "row" : "line", example.line,
                  counted(std::ssize(example.tokens), "token"), counted(example.targets(), "target"));
  if (!example.classes.empty())
    shown += fmt::format(", labels {}", fmt::join(example.classes, " "));
  else if (example.label)
    shown += fmt::format(", label {}", *example.label);
  if (example.length > 0) shown += fmt::format(" (cut from {} tokens)", example.length);
  shown += '\n';
  const auto is_target = [&](size_t i) { return !example.label && example.labels[i] != no_target; };
  for (size_t begin = 0; begin < example.tokens.size();) {
    size_t end = begin + 1;
    while (end < example.tokens.size() && is_target(end) == is_target(begin)) ++end;
    const std::string text = text_of(tokenizer, std::span(example.tokens).subspan(begin, end - begin));
    shown += is_target(begin) ? fmt::format("{}{}{}", marks.begin, text, marks.end) : text;
    begin = end;
  }
  return shown + '\n';
}

}  // namespace lowrank
