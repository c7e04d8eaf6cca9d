#include "data/chat_format.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "data/end_of_turn.h"
#include "tokenizer/chat/message_regions.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

AddedTokens special_tokens(const Tokenizer& tokenizer) {
  std::vector<AddedToken> special;
  for (const AddedToken& token : tokenizer.spec().added) {
    if (token.special && !token.content.empty()) special.push_back(token);
  }
  return AddedTokens(std::move(special));
}

RenderOptions dated(const jinja::CalendarTime& now) {
  RenderOptions options;
  options.now = now;
  return options;
}

std::string_view trimmed(std::string_view text) {
  constexpr const char* blanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string role_of(const Json& message) {
  const auto role = message.find("role");
  return role != message.end() && role->is_string() ? role->get<std::string>() : "";
}

/// Counts special tokens within the parts of a rendering that come from messages.
void note_special(const Rendering& rendering, const AddedTokens& special, ChatNotes& notes) {
  for (const jinja::OriginSpan& origin : rendering.origins) {
    if (origin.message < 0) continue;
    special.split(
        std::string_view(rendering.text).substr(origin.begin, origin.end - origin.begin),
        [](std::string_view) {},
        [&](const AddedToken& token) {
          if (notes.special_tokens++ == 0) notes.special_text = token.content;
        });
  }
}

/// Templates cut reasoning out of answers on purpose; other texts they should show.
void note_lost(const Json& messages, const Rendering& rendering, ChatNotes& notes) {
  std::vector<std::string> roles;
  for (const Json& message : messages) roles.push_back(role_of(message));
  std::vector<bool> shown(messages.size());
  for (const jinja::OriginSpan& origin : rendering.origins) {
    const auto index = static_cast<size_t>(origin.message);
    if (origin.message < 0 || index >= messages.size()) continue;
    const std::string_view text = rendering.text;
    if (text.substr(origin.begin, origin.end - origin.begin) != roles[index]) shown[index] = true;
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (roles[i] == "assistant" || !has_text(messages[i]) || shown[i]) continue;
    if (notes.lost_texts++ == 0) notes.lost_role = roles[i];
  }
}

/// What the template itself wrote, without the messages' own texts.
std::string written_by_template(const Rendering& rendering) {
  std::string text;
  for (const jinja::OriginSpan& origin : rendering.origins) {
    if (origin.message < 0)
      text.append(rendering.text, static_cast<size_t>(origin.begin),
                  static_cast<size_t>(origin.end - origin.begin));
  }
  return text;
}

void note_lost_parts(const Conversation& conversation, const Rendering& rendering, ChatNotes& notes) {
  const auto note = [&](const char* part, bool lost) {
    if (lost) ++notes.lost_parts[part];
  };
  if (conversation.tools.is_array() && !conversation.tools.empty()) {
    const std::string name = conversation.tools[0].value("/function/name"_json_pointer, std::string());
    note("tools", written_by_template(rendering).find(name) == std::string::npos);
  }
  if (conversation.documents.is_array() && !conversation.documents.empty() &&
      conversation.documents[0].is_object()) {
    const Json& text = conversation.documents[0].value("text", Json());
    note("documents", text.is_string() && rendering.text.find(text.get<std::string>()) == std::string::npos);
  }
  const auto any = [&](const auto& lost) { return std::ranges::any_of(conversation.messages, lost); };
  note("tool calls", any([&](const Json& message) { return !lost_call(message, rendering.text).empty(); }));
  note("reasoning", any([&](const Json& message) {
         const Json& reasoning = message.value("reasoning_content", Json());
         if (!reasoning.is_string()) return false;
         const std::string_view words = trimmed(reasoning.get_ref<const std::string&>());
         return rendering.text.find(words) == std::string::npos;
       }));
}

std::vector<std::string> special_texts(const Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  for (const AddedToken& token : tokenizer.spec().added) {
    if (token.special && !token.content.empty()) texts.push_back(token.content);
  }
  return texts;
}

}  // namespace

std::vector<std::string> ChatNotes::warnings() const {
  std::vector<std::string> sentences;
  if (special_tokens > 0)
    sentences.push_back(
        special_tokens == 1
            ? fmt::format("the messages' texts hold 1 special token, {}, which the model reads as a control "
                          "token",
                          in_quotes(special_text))
            : fmt::format("the messages' texts hold {} special tokens, the first {}, which the model reads "
                          "as control tokens",
                          special_tokens, in_quotes(special_text)));
  if (lost_texts > 0)
    sentences.push_back(fmt::format("the chat template leaves out the {} of {}, {} the role {}",
                                    lost_texts == 1 ? "text" : "texts", counted(lost_texts, "message"),
                                    lost_texts == 1 ? "of" : "the first of", in_quotes(lost_role)));
  for (const auto& [part, count] : lost_parts)
    sentences.push_back(
        fmt::format("the chat template leaves out the {} of {}", part, counted(count, "conversation")));
  if (open_answers > 0)
    sentences.push_back(
        fmt::format("{} {} answers that end without a special token, so the model does not learn to stop "
                    "after them",
                    counted(open_answers, "conversation"), open_answers == 1 ? "has" : "have"));
  return sentences;
}

void ChatNotes::add(const ChatNotes& others) {
  if (special_tokens == 0) special_text = others.special_text;
  if (lost_texts == 0) lost_role = others.lost_role;
  conversations += others.conversations;
  special_tokens += others.special_tokens;
  lost_texts += others.lost_texts;
  for (const auto& [part, count] : others.lost_parts) lost_parts[part] += count;
  open_answers += others.open_answers;
}

ChatFormat::ChatFormat(ChatTemplate chat, const Tokenizer& tokenizer, Json variables, jinja::CalendarTime now)
    : template_(std::move(chat)),
      tokenizer_(&tokenizer),
      special_(special_tokens(tokenizer)),
      variables_(std::move(variables)),
      options_(dated(now)),
      shape_(content_shape(template_, options_)),
      finder_(template_, special_texts(tokenizer), options_, variables_) {
  const auto end = end_of_turn(template_, tokenizer, options_);
  if (end && !tokenizer.ends_generation(*end)) end_tokens_.push_back(*end);
}

std::vector<int64_t> ChatFormat::prompt(const Conversation& conversation, ChatNotes& notes,
                                        const std::function<void(std::string_view text)>& inspect) const {
  RenderOptions options = options_;
  options.continue_final_message =
      !conversation.messages.empty() && role_of(conversation.messages.back()) == "assistant";
  options.add_generation_prompt = !options.continue_final_message;
  const Conversation whole = prepared(conversation);
  const Rendering rendering = rendered(whole, options);
  if (inspect) inspect(rendering.text);
  note(whole, rendering, notes);
  return tokenizer_->encode(rendering.text, false);
}

void ChatFormat::add_to(Fingerprint& all) const {
  nlohmann::ordered_json parts = {template_.source(), template_.name(), variables_};
  for (const auto& [name, text] : template_.special_tokens()) parts.push_back({name, text});
  if (options_.now && template_.source().find("strftime_now") != std::string::npos) {
    const jinja::CalendarTime& now = *options_.now;
    parts.push_back({now.year, now.month, now.day, now.hour, now.minute, now.second});
  }
  all.add(json_text(parts));
}

Conversation ChatFormat::prepared(Conversation conversation) const {
  for (const auto& [name, value] : variables_.items()) {
    if (!conversation.extra.contains(name)) conversation.extra[name] = value;
  }
  return in_shape(std::move(conversation), shape_);
}

Rendering ChatFormat::render(const Conversation& conversation, ChatNotes& notes) const {
  Rendering rendering = rendered(conversation, options_);
  note(conversation, rendering, notes);
  return rendering;
}

Rendering ChatFormat::rendered(const Conversation& conversation, const RenderOptions& options) const {
  check(conversation.messages.is_array() && !conversation.messages.empty(), ErrorKind::invalid,
        "a conversation without messages");
  return template_.render(conversation, options);
}

void ChatFormat::note(const Conversation& conversation, const Rendering& rendering, ChatNotes& notes) const {
  ++notes.conversations;
  note_special(rendering, special_, notes);
  note_lost(conversation.messages, rendering, notes);
  note_lost_parts(conversation, rendering, notes);
}

}  // namespace lowrank
