#include "data/end_of_turn.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "tokenizer/steps/added_tokens.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// Words that no template contains and that survive trimming, lower-casing and capitalising.
constexpr std::string_view question_probe = "71358lowrank20946", answer_probe = "90482lowrank61735";

Json message(const char* role, std::string_view text, bool as_parts) {
  Json content = text;
  if (as_parts) content = Json::array({{{"type", "text"}, {"text", text}}});
  return {{"role", role}, {"content", content}};
}

/// The added tokens that are not only white space: runs of blanks are tokens of some vocabularies.
AddedTokens marks_of(const Tokenizer& tokenizer) {
  std::vector<AddedToken> marks;
  for (const AddedToken& token : tokenizer.spec().added) {
    if (token.content.find_first_not_of(" \t\r\n") != std::string::npos) marks.push_back(token);
  }
  return AddedTokens(std::move(marks));
}

std::optional<int64_t> first_token(const AddedTokens& marks, std::string_view text) {
  std::optional<int64_t> first;
  marks.split(
      text, [](std::string_view) {},
      [&](const AddedToken& token) {
        if (!first) first = token.id;
      });
  return first;
}

/// What a template writes after the answer's probe in a chat; nothing if it refuses or loses the answer.
std::optional<std::string> after_answer(const ChatTemplate& chat, const Json& messages,
                                        RenderOptions options) {
  options.add_generation_prompt = options.continue_final_message = false;
  try {
    const std::string text = chat.render({.messages = messages}, options).text;
    const size_t found = text.rfind(answer_probe);
    if (found == std::string::npos) return std::nullopt;
    return text.substr(found + answer_probe.size());
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<int64_t> end_of_turn(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                   const RenderOptions& options) {
  const AddedTokens marks = marks_of(tokenizer);
  for (const bool goes_on : {false, true}) {
    for (const bool parts : {false, true}) {
      Json messages =
          Json::array({message("user", question_probe, parts), message("assistant", answer_probe, parts)});
      if (goes_on) messages.push_back(message("user", question_probe, parts));
      const auto rest = after_answer(chat, messages, options);
      if (const auto id = rest ? first_token(marks, *rest) : std::nullopt) return id;
    }
  }
  return std::nullopt;
}

}  // namespace lowrank
