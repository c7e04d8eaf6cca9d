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
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    const std::string role = role_of(message);
    if (role == "assistant" || !has_text(message)) continue;
    const bool shown = std::ranges::any_of(rendering.origins, [&](const jinja::OriginSpan& origin) {
      return origin.message == static_cast<int>(i) &&
             std::string_view(rendering.text).substr(origin.begin, origin.end - origin.begin) != role;
    });
    if (!shown && notes.lost_texts++ == 0) notes.lost_role = role;
  }
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
        fmt::format("the messages' texts hold {} special tokens, the first {}, which the model reads as "
                    "control tokens",
                    special_tokens, in_quotes(special_text)));
  if (lost_texts > 0)
    sentences.push_back(
        fmt::format("the chat template leaves out the texts of {} messages, the first of the role {}",
                    lost_texts, in_quotes(lost_role)));
  if (open_answers > 0)
    sentences.push_back(
        fmt::format("{} conversations have answers that end without a special token, so the model does not "
                    "learn to stop after them",
                    open_answers));
  return sentences;
}

void ChatNotes::add(const ChatNotes& others) {
  if (special_tokens == 0) special_text = others.special_text;
  if (lost_texts == 0) lost_role = others.lost_role;
  conversations += others.conversations;
  special_tokens += others.special_tokens;
  lost_texts += others.lost_texts;
  open_answers += others.open_answers;
}

ChatFormat::ChatFormat(ChatTemplate chat, const Tokenizer& tokenizer, Json variables, jinja::CalendarTime now)
    : template_(std::move(chat)),
      tokenizer_(&tokenizer),
      special_(special_tokens(tokenizer)),
      variables_(std::move(variables)),
      options_(dated(now)),
      shape_(content_shape(template_, options_)),
      finder_(template_, special_texts(tokenizer), options_) {
  const auto end = end_of_turn(template_, tokenizer, options_);
  if (end && !tokenizer.ends_generation(*end)) end_tokens_.push_back(*end);
}

std::vector<int64_t> ChatFormat::prompt(const Conversation& conversation, ChatNotes& notes) const {
  RenderOptions options = options_;
  options.continue_final_message =
      !conversation.messages.empty() && role_of(conversation.messages.back()) == "assistant";
  options.add_generation_prompt = !options.continue_final_message;
  return tokenizer_->encode(render(prepared(conversation), options, notes).text, false);
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
  return render(conversation, options_, notes);
}

Rendering ChatFormat::render(const Conversation& conversation, const RenderOptions& options,
                             ChatNotes& notes) const {
  check(conversation.messages.is_array() && !conversation.messages.empty(), ErrorKind::invalid,
        "a conversation without messages");
  Rendering rendering = template_.render(conversation, options);
  ++notes.conversations;
  note_special(rendering, special_, notes);
  note_lost(conversation.messages, rendering, notes);
  return rendering;
}

}  // namespace lowrank
