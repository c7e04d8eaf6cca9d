#include "tokenizer/chat/content_shape.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// A word that no template contains and that survives trimming, lower-casing and capitalising.
constexpr const char* probe = "71358lowrank20946";

/// What a template makes of messages; nothing if it refuses them.
std::optional<std::string> rendered(const ChatTemplate& chat, const RenderOptions& options, Json messages) {
  Conversation conversation;
  conversation.messages = std::move(messages);
  try {
    return chat.render(conversation, options).text;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    return std::nullopt;
  }
}

Json text_part(const std::string& text) {
  return {{"type", "text"}, {"text", text}};
}

/// Whether the probe arrives as a text and not within a printed list.
bool shows(const std::optional<std::string>& text) {
  return text && text->find(probe) != std::string::npos && text->find("'text'") == std::string::npos &&
         text->find("\"text\"") == std::string::npos;
}

/// A chat with a tool call, beside an empty content or none.
Json call_with(const Json& arguments, bool content = true) {
  const Json function = {{"name", "find"}, {"arguments", arguments}};
  const Json call = {{"id", "call00001"}, {"type", "function"}, {"function", function}};
  Json answer = {{"role", "assistant"}};
  if (content) answer["content"] = "";
  answer["tool_calls"] = Json::array({call});
  return Json::array({{{"role", "user"}, {"content", "Find it."}}, answer});
}

bool is_text(const Json& part) {
  return part.is_object() && part.contains("text") && part["text"].is_string() &&
         part.value("type", Json("text")) == "text";
}

void give_shape(Json& content, const ContentShape& shape) {
  if (content.is_string() && !shape.texts) {
    content = Json::array({text_part(content.get<std::string>())});
  } else if (content.is_array() && !shape.parts && std::ranges::all_of(content, is_text)) {
    std::string joined;
    for (const Json& part : content) joined += part["text"].get_ref<const std::string&>();
    content = std::move(joined);
  }
}

void write_arguments(Json& calls) {
  for (Json& call : calls) {
    Json& function = call["function"];
    if (function.is_object() && function.contains("arguments") && function["arguments"].is_object())
      function["arguments"] = json_text(function["arguments"]);
  }
}

}  // namespace

ContentShape content_shape(const ChatTemplate& chat, const RenderOptions& given) {
  RenderOptions options = given;
  options.add_generation_prompt = true;
  options.continue_final_message = false;
  const auto question = [&](const Json& content) {
    return rendered(chat, options, Json::array({{{"role", "user"}, {"content", content}}}));
  };
  const auto as_text = question(probe), as_parts = question(Json::array({text_part(probe)}));
  ContentShape shape;
  shape.parts = shows(as_parts);
  shape.texts = shows(as_text) || (!as_text && !as_parts);
  check(shape.texts || shape.parts, ErrorKind::invalid,
        "the chat template {} does not show the text of a message; give another one (`chat_template`)",
        chat.name());
  options.add_generation_prompt = false;
  const Json object = {{"city", "Paris"}};
  shape.argument_objects = rendered(chat, options, call_with(object)).has_value() ||
                           !rendered(chat, options, call_with(json_text(object))).has_value();
  const Json arguments = shape.argument_objects ? object : Json(json_text(object));
  shape.absent = rendered(chat, options, call_with(arguments, false)).has_value() ||
                 !rendered(chat, options, call_with(arguments)).has_value();
  return shape;
}

Conversation in_shape(Conversation conversation, const ContentShape& shape) {
  for (Json& message : conversation.messages) {
    if (!message.is_object()) continue;
    const bool absent = !message.contains("content") || message["content"].is_null();
    if (absent && !shape.absent) message["content"] = "";
    if (const auto content = message.find("content"); content != message.end()) give_shape(*content, shape);
    const auto calls = message.find("tool_calls");
    if (!shape.argument_objects && calls != message.end() && calls->is_array()) write_arguments(*calls);
  }
  return conversation;
}

}  // namespace lowrank
