#include "data/chat_format.h"

#include <string_view>

#include "base/error.h"
#include "base/one_line.h"

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

RenderOptions dated() {
  RenderOptions options;
  options.now = jinja::present_time();
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
void note_lost(const Json& messages, const std::string& text, ChatNotes& notes) {
  for (const Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string() || role_of(message) == "assistant") continue;
    if (text.find(trimmed(content->get_ref<const std::string&>())) != std::string::npos) continue;
    if (notes.lost_texts++ == 0) notes.lost_role = role_of(message);
  }
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
  return sentences;
}

ChatFormat::ChatFormat(ChatTemplate chat, const Tokenizer& tokenizer)
    : template_(std::move(chat)),
      tokenizer_(&tokenizer),
      special_(special_tokens(tokenizer)),
      options_(dated()),
      shape_(content_shape(template_, options_)) {
  const auto end = end_of_turn(template_, tokenizer, options_);
  if (end && !tokenizer.ends_generation(*end)) end_tokens_.push_back(*end);
}

std::vector<int64_t> ChatFormat::prompt(const Conversation& conversation, ChatNotes& notes) const {
  const Json& given = conversation.messages;
  check(given.is_array() && !given.empty(), ErrorKind::invalid, "a conversation without messages");
  Conversation shaped = conversation;
  for (Json& message : shaped.messages) message = in_shape(std::move(message), shape_);
  RenderOptions options = options_;
  options.continue_final_message = role_of(given.back()) == "assistant";
  options.add_generation_prompt = !options.continue_final_message;
  const Rendering rendering = template_.render(shaped, options);
  ++notes.conversations;
  note_special(rendering, special_, notes);
  note_lost(given, rendering.text, notes);
  return tokenizer_->encode(rendering.text, false);
}

}  // namespace lowrank
