#include "tokenizer/chat/message_regions.h"

#include <algorithm>
#include <map>

#include "base/json.h"

namespace lowrank {
namespace {

using jinja::Iteration;
using jinja::Span;

/// Removes `hole` from ranges that ascend.
void take_out(std::vector<Span>& ranges, Span hole) {
  if (hole.begin >= hole.end) return;
  std::vector<Span> kept;
  for (const Span& range : ranges) {
    if (const Span before{range.begin, std::min(range.end, hole.begin)}; before.begin < before.end)
      kept.push_back(before);
    if (const Span after{std::max(range.begin, hole.end), range.end}; after.begin < after.end)
      kept.push_back(after);
  }
  ranges = std::move(kept);
}

/// How often a word occurs in a text.
int64_t times(std::string_view text, std::string_view word) {
  int64_t count = 0;
  for (size_t at = word.empty() ? std::string_view::npos : text.find(word); at != std::string_view::npos;
       at = text.find(word, at + word.size()))
    ++count;
  return count;
}

}  // namespace

std::vector<MessageRegion> message_regions(const jinja::Rendering& rendering) {
  std::vector<MessageRegion> regions;
  int64_t covered = 0;
  // Iterations come in the order in which they began, an outer one before those inside it.
  for (const Iteration& iteration : rendering.iterations) {
    if (iteration.buffered || iteration.end <= iteration.begin || iteration.begin < covered) continue;
    regions.push_back({iteration.message, {iteration.begin, iteration.end}});
    covered = iteration.end;
  }
  return regions;
}

std::vector<Span> regions_of(const std::vector<MessageRegion>& regions, int64_t message) {
  std::vector<Span> own;
  for (const MessageRegion& region : regions) {
    if (region.message == message) own.push_back(region.span);
  }
  return own;
}

std::vector<Span> own_parts(const jinja::Rendering& rendering, int64_t message, Span range) {
  std::vector<Span> parts;
  if (range.begin < range.end) parts.push_back(range);
  for (const Iteration& iteration : rendering.iterations) {
    const bool inside = iteration.begin >= range.begin && iteration.end <= range.end;
    if (inside && !iteration.buffered && iteration.message != message)
      take_out(parts, {iteration.begin, iteration.end});
  }
  for (const jinja::OriginSpan& origin : rendering.origins) {
    if (origin.message >= 0 && origin.message != message) take_out(parts, {origin.begin, origin.end});
  }
  return parts;
}

bool is_assistant(const nlohmann::ordered_json& message) {
  const auto role = message.find("role");
  return role != message.end() && role->is_string() && role->get_ref<const std::string&>() == "assistant";
}

std::string lost_call(const nlohmann::ordered_json& message, std::string_view text) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return {};
  nlohmann::ordered_json words = message;
  words.erase("tool_calls");
  const std::string own = json_text(words);
  std::map<std::string, int64_t> needed;
  for (const nlohmann::ordered_json& call : *calls) {
    const std::string name = call.value("/function/name"_json_pointer, std::string());
    ++needed.try_emplace(name, times(own, name)).first->second;
  }
  for (const auto& [name, count] : needed) {
    if (!name.empty() && times(text, name) < count) return name;
  }
  return {};
}

bool has_text(const nlohmann::ordered_json& message) {
  const auto speaks = [](const nlohmann::ordered_json& text) {
    return text.is_string() &&
           text.get_ref<const std::string&>().find_first_not_of(" \t\r\n") != std::string::npos;
  };
  const auto content = message.find("content");
  if (content == message.end()) return false;
  if (!content->is_array()) return speaks(*content);
  return std::ranges::any_of(*content, [&](const auto& part) {
    return part.is_object() && part.contains("text") && speaks(part["text"]);
  });
}

}  // namespace lowrank
