#include "tokenizer/chat/chat_template.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/characters.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// What marks the end of the message to continue; LFM2.5's templates look for this very text.
constexpr std::string_view tag = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::string_view bare_tag = tag.substr(0, tag.size() - 1);
constexpr std::array<std::string_view, 3> reasoning_keys = {"reasoning_content", "thinking", "reasoning"};

const Json* find(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

Json without_nulls(const Json& message) {
  Json result = Json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) result[key] = value;
  }
  return result;
}

/// The message with its reasoning as `reasoning_content`, whichever name it came under, and as `thinking`.
Json with_reasoning(const Json& message) {
  const Json* reasoning = nullptr;
  for (const std::string_view key : reasoning_keys) {
    const Json* value = find(message, key);
    if (!reasoning && value && !value->is_null()) reasoning = value;
  }
  if (!reasoning) return message;
  Json result = {{"thinking", *reasoning}};
  for (const auto& [key, value] : message.items()) result[key] = value;
  result["reasoning_content"] = *reasoning;
  return result;
}

Json prepared(const Json& messages, bool drop_null_keys, const std::string& name) {
  check(messages.is_array(), ErrorKind::invalid,
        "chat template {}: the messages of a conversation must be an array", name);
  check(!messages.empty() || !drop_null_keys, ErrorKind::invalid,
        "chat template {}: the conversation has no messages", name);
  Json result = Json::array();
  for (const Json& message : messages) {
    check(message.is_object(), ErrorKind::invalid,
          "chat template {}: message {} of the conversation is not a JSON object", name, result.size() + 1);
    result.push_back(with_reasoning(drop_null_keys ? without_nulls(message) : message));
  }
  return result;
}

/// Appends the tag to the text that the last message ends with, and gives that text as it was.
std::string mark_end(Json& messages, const std::string& name) {
  check(!messages.empty() && messages.back().contains("content") && !messages.back()["content"].is_null(),
        ErrorKind::invalid, "chat template {}: `continue_final_message` needs a last message with content",
        name);
  Json* text = &messages.back()["content"];
  if (text->is_array()) {
    const auto part = std::find_if(text->rbegin(), text->rend(),
                                   [](const Json& p) { return p.is_object() && p.contains("text"); });
    check(part != text->rend(), ErrorKind::invalid,
          "chat template {}: `continue_final_message` needs a text part in the last message", name);
    text = &(*part)["text"];
  }
  check(text->is_string(), ErrorKind::invalid,
        "chat template {}: `continue_final_message` needs a text as the content of the last message", name);
  const std::string before = *text;
  *text = before + std::string(tag);
  return before;
}

template <class Ranges>
void clip(Ranges& ranges, int64_t size) {
  std::erase_if(ranges, [&](const auto& range) { return range.begin >= size && range.end > size; });
  for (auto& range : ranges) {
    range.begin = std::min(range.begin, size);
    range.end = std::min(range.end, size);
  }
}

/// Ends the rendering where the tag stands.
void cut(Rendering& rendering, std::string_view final_text, const std::string& name) {
  const size_t at = rendering.text.rfind(bare_tag);
  check(at != std::string::npos && rendering.text.find(without_spaces(final_text)) != std::string::npos,
        ErrorKind::invalid,
        "chat template {}: it does not show the end of the last message, which cannot be continued", name);
  std::string_view kept = std::string_view(rendering.text).substr(0, at);
  if (!std::string_view(rendering.text).substr(at).starts_with(tag)) {
    // The template removed the space after the tag, so it would have removed those before it.
    size_t end = kept.size();
    for (size_t next = end; next > 0 && is_space(previous_character(kept, next));) end = next;
    kept = kept.substr(0, end);
  }
  rendering.text.resize(kept.size());
  const auto size = static_cast<int64_t>(kept.size());
  clip(rendering.spans, size);
  clip(rendering.iterations, size);
  clip(rendering.origins, size);
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string name,
                           std::vector<std::pair<std::string, std::string>> special_tokens)
    : template_(std::move(source), std::move(name)) {
  for (auto& [token, text] : special_tokens) special_tokens_.emplace_back(token, text);
}

std::string ChatTemplate::special_token(std::string_view name) const {
  for (const auto& [token, text] : special_tokens_) {
    if (token == name) return text;
  }
  return {};
}

Rendering ChatTemplate::render(const Conversation& conversation, const RenderOptions& options) const {
  check(!options.continue_final_message || !options.add_generation_prompt, ErrorKind::invalid,
        "chat template {}: `continue_final_message` and a generation prompt exclude each other", name());
  Json messages = prepared(conversation.messages, options.drop_null_keys, name());
  std::string final_text;
  if (options.continue_final_message) {
    check(source().find("content") != std::string::npos, ErrorKind::invalid,
          "chat template {}: it does not show the content of messages", name());
    final_text = mark_end(messages, name());
  }
  const Json prompt = options.add_generation_prompt;
  std::vector<jinja::Variable> variables;
  for (const auto& [token, text] : special_tokens_) variables.push_back({token, &text, false});
  if (conversation.extra.is_object()) {
    for (const auto& [key, value] : conversation.extra.items()) variables.push_back({key, &value, false});
  }
  variables.push_back({"tools", &conversation.tools, false});
  variables.push_back({"documents", &conversation.documents, false});
  variables.push_back({"add_generation_prompt", &prompt, false});
  variables.push_back({"messages", &messages, true});
  Rendering rendering =
      template_.render(variables, options.now ? *options.now : jinja::present_time(), options.steps);
  if (options.continue_final_message) cut(rendering, final_text, name());
  return rendering;
}

}  // namespace lowrank
