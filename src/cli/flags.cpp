#include "cli/flags.h"

#include <algorithm>
#include <cctype>

#include "base/fields.h"

namespace lowrank {
namespace {

bool is_option(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '_';
  });
}

}  // namespace

std::string with_flags(std::string_view text) {
  std::string shown;
  for (size_t start = text.find('`'); start != std::string_view::npos; start = text.find('`')) {
    const size_t end = text.find('`', start + 1);
    if (end == std::string_view::npos) break;
    const std::string_view word = text.substr(start + 1, end - start - 1);
    shown += text.substr(0, start);
    shown += is_option(word) ? flag_name(word) : std::string(text.substr(start, end + 1 - start));
    text.remove_prefix(end + 1);
  }
  return shown.append(text);
}

}  // namespace lowrank
