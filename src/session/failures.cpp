#include "session/failures.h"

#include <filesystem>
#include <new>
#include <stdexcept>
#include <string_view>

#include <c10/util/Exception.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace lowrank {
namespace {

/// The first line, without a leading tag in brackets.
std::string_view first_words(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  const size_t end = text.starts_with('[') ? text.find("] ") : std::string_view::npos;
  return end == std::string_view::npos ? text : text.substr(end + 2);
}

std::string sentence_of(const std::filesystem::filesystem_error& error) {
  // "filesystem error: cannot remove: Permission denied [a] [b]"
  std::string_view doing = error.what();
  constexpr std::string_view tag = "filesystem error: ";
  if (doing.starts_with(tag)) doing.remove_prefix(tag.size());
  const std::string reason = error.code().message();
  doing = doing.substr(0, doing.find(": " + reason));
  const std::string& place = error.path1().native();
  const std::string& other = error.path2().native();
  return fmt::format("{}{}{}: {}: {}", place, other.empty() ? "" : ", ", other, doing, reason);
}

std::string sentence_of(const c10::Error& error) {
  const std::string_view words = first_words(error.what_without_backtrace());
  constexpr std::string_view tried = "you tried to allocate ";
  const size_t found = words.find(tried);
  if (found == std::string_view::npos) return fmt::format("the computation failed: {}", words);
  const std::string_view amount = words.substr(found + tried.size());
  return fmt::format("out of memory: {} at once are not to be had", amount.substr(0, amount.find('.')));
}

}  // namespace

void need_options(const std::vector<std::pair<std::string_view, const std::string*>>& needed) {
  std::vector<std::string> missing;
  for (const auto& [name, value] : needed) {
    if (value->empty()) missing.push_back(fmt::format("`{}`", name));
  }
  if (!missing.empty()) throw MissingOption(fmt::format("missing {}", fmt::join(missing, ", ")));
}

std::string sentence_of(const std::exception& error) {
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return sentence_of(*file);
  if (const auto* tensor = dynamic_cast<const c10::Error*>(&error)) return sentence_of(*tensor);
  if (dynamic_cast<const nlohmann::json::exception*>(&error))
    return fmt::format("a value in a JSON file is not of the kind that it must be: {}",
                       first_words(error.what()));
  if (dynamic_cast<const std::bad_alloc*>(&error)) return "out of memory";
  if (dynamic_cast<const std::length_error*>(&error))
    return "out of memory: a size that the input or the options give is too large";
  return fmt::format("an unexpected failure: {}", first_words(error.what()));
}

}  // namespace lowrank
