#include "formats/hub_name.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace lowrank {
namespace {

constexpr size_t most_name = 256;

}  // namespace

bool is_plain_part(std::string_view part) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !part.empty() && part.size() <= most_name && part.front() != '.' && part.front() != '-' &&
         std::ranges::all_of(part, allowed);
}

bool is_plain_path(std::string_view path, int64_t most_parts) {
  for (int64_t parts = 1; parts <= most_parts; ++parts) {
    const size_t slash = path.find('/');
    if (!is_plain_part(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](unsigned char c) {
           return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
         });
}

std::string HubName::fetch_command() const {
  const std::string of_file = file.empty() ? "" : " " + file;
  return fmt::format("hf download {}{}{}", repository, of_file,
                     revision == "main" ? "" : " --revision " + revision);
}

std::optional<HubName> hub_name(std::string_view text) {
  HubName name;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    name.file = text.substr(colon + 1);
    if (!is_plain_path(name.file, 8)) return std::nullopt;
    text = text.substr(0, colon);
  }
  const size_t at = text.find('@');
  if (at != std::string_view::npos) {
    name.revision = text.substr(at + 1);
    if (!is_plain_path(name.revision, 8)) return std::nullopt;
    text = text.substr(0, at);
  }
  name.repository = text;
  const bool ours = text.find("--") != std::string_view::npos || text.find("..") != std::string_view::npos;
  if (!is_plain_path(text, 2) || ours || text.ends_with(".gguf")) return std::nullopt;
  return name;
}

}  // namespace lowrank
