#include "tokenizer/chat/chat_turns.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "tokenizer/chat/message_regions.h"

namespace lowrank {
namespace {

using jinja::Span;

constexpr std::string_view blanks = " \t\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(blanks) == std::string_view::npos;
}

/// The message that most bytes of a range come from, or whose region holds it; -1 if there is none.
int64_t message_of(const Rendering& rendering, Span range) {
  std::map<int64_t, int64_t> bytes;
  for (const jinja::OriginSpan& origin : rendering.origins) {
    const int64_t common = std::min(origin.end, range.end) - std::max(origin.begin, range.begin);
    if (origin.message >= 0 && common > 0) bytes[origin.message] += common;
  }
  if (!bytes.empty())
    return std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; })->first;
  for (const MessageRegion& region : message_regions(rendering)) {
    if (region.span.begin <= range.begin && range.end <= region.span.end) return region.message;
  }
  return -1;
}

/// What {% generation %} blocks wrote, by message.
std::vector<AssistantTurn> tagged_turns(const Conversation& conversation, const Rendering& rendering) {
  std::map<int64_t, AssistantTurn> turns;
  for (const Span& span : rendering.spans) {
    const int64_t message = message_of(rendering, span);
    if (message < 0 || !is_assistant(conversation.messages[message])) continue;
    AssistantTurn& turn = turns[message];
    turn.message = message;
    turn.targets.push_back(span);
  }
  std::vector<AssistantTurn> found;
  for (auto& [message, turn] : turns) found.push_back(std::move(turn));
  return found;
}

/// The texts as tokens, those of the template's own beginning and end tokens among them.
AddedTokens tokens_of(const std::vector<std::string>& texts, const ChatTemplate& chat) {
  std::set<std::string> all(texts.begin(), texts.end());
  for (const char* name : {"bos_token", "eos_token"}) all.insert(chat.special_token(name));
  all.erase("");
  std::vector<AddedToken> tokens;
  for (const std::string& text : all) tokens.push_back({.content = text});
  return AddedTokens(std::move(tokens));
}

/// A conversation that every template renders, with these variables.
Conversation one_question(const nlohmann::ordered_json& variables) {
  Conversation question;
  question.messages.push_back({{"role", "user"}, {"content", "Hello"}});
  question.extra = variables;
  return question;
}

}  // namespace

TurnFinder::TurnFinder(ChatTemplate chat, const std::vector<std::string>& special_tokens,
                       RenderOptions options, nlohmann::ordered_json variables)
    : chat_(std::move(chat)),
      options_(std::move(options)),
      special_tokens_(tokens_of(special_tokens, chat_)),
      beginning_(chat_.special_token("bos_token")),
      end_(chat_.special_token("eos_token")),
      variables_(std::move(variables)) {
  options_.add_generation_prompt = true;
  options_.continue_final_message = false;
  usual_prompt_ = generation_prompt(one_question(variables_));
}

std::vector<AssistantTurn> TurnFinder::turns(const Conversation& conversation,
                                             const Rendering& rendering) const {
  std::vector<AssistantTurn> found;
  if (!rendering.spans.empty()) {
    found = tagged_turns(conversation, rendering);
    for (AssistantTurn& turn : found) close(turn.targets, rendering.text);
    return found;
  }
  const std::vector<MessageRegion> regions = message_regions(rendering);
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    if (!is_assistant(conversation.messages[i])) continue;
    const auto message = static_cast<int64_t>(i);
    const std::vector<Span> own = regions_of(regions, message);
    if (own.empty()) continue;
    check(own.size() == 1, ErrorKind::invalid,
          "message {}: the chat template {} writes it in {} places, so the answer cannot be told from the "
          "rest; use "
          "a template with {{% generation %}} blocks (`chat_template`)",
          message + 1, chat_.name(), own.size());
    AssistantTurn turn = turn_of(conversation, rendering, message, own.front(),
                                 own.front().begin == regions.front().span.begin);
    if (!turn.targets.empty()) found.push_back(std::move(turn));
  }
  return found;
}

std::vector<Span> TurnFinder::own_text(const Conversation& conversation, const Rendering& rendering,
                                       int64_t message) const {
  const std::string role = conversation.messages[message].value("role", std::string());
  std::vector<Span> parts;
  for (const Span& region : regions_of(message_regions(rendering), message)) {
    const auto first = std::ranges::find_if(rendering.origins, [&](const jinja::OriginSpan& origin) {
      return origin.message == message && origin.begin >= region.begin && origin.begin < region.end &&
             piece(rendering.text, {origin.begin, origin.end}) != role;
    });
    if (first == rendering.origins.end()) continue;
    for (const Span& part : own_parts(rendering, message, {first->begin, region.end})) parts.push_back(part);
  }
  if (!parts.empty()) close(parts, rendering.text);
  return parts;
}

AssistantTurn TurnFinder::turn_of(const Conversation& conversation, const Rendering& rendering,
                                  int64_t message, Span region, bool first) const {
  const int64_t header = header_length(conversation, message, piece(rendering.text, region), first);
  AssistantTurn turn{message, own_parts(rendering, message, {region.begin + header, region.end})};
  if (turn.targets.empty()) turn.targets.push_back({region.begin + header, region.begin + header});
  close(turn.targets, rendering.text);
  return turn;
}

/// The first bytes of a region that the model does not write. The prompt after a single question is nearly
/// always the header; where it is not, the prompt after the very messages that precede the turn is.
int64_t TurnFinder::header_length(const Conversation& conversation, int64_t message, std::string_view region,
                                  bool first) const {
  const std::string usual =
      conversation.extra == variables_ ? usual_prompt_ : generation_prompt(one_question(conversation.extra));
  // The first region may hold more in front of the header: a default system text, the beginning token.
  const size_t found = usual.empty() ? std::string_view::npos : region.find(usual);
  if (found == 0 || (first && found != std::string_view::npos))
    return static_cast<int64_t>(found + usual.size());
  const bool begun = first && !beginning_.empty() && region.starts_with(beginning_);
  const int64_t skipped = begun && !usual.starts_with(beginning_) ? std::ssize(beginning_) : 0;
  const std::string_view rest = region.substr(skipped);
  int64_t longest = common_header(rest, usual);
  if (message > 0) {
    Conversation before = conversation;
    before.messages.erase(before.messages.begin() + message, before.messages.end());
    longest = std::max(longest, common_header(rest, generation_prompt(before)));
  }
  return skipped + longest;
}

/// What a generation prompt adds after the last message; empty when the template refuses the messages.
std::string TurnFinder::generation_prompt(const Conversation& conversation) const {
  try {
    const Rendering rendering = chat_.render(conversation, options_);
    const std::vector<MessageRegion> regions = message_regions(rendering);
    if (regions.empty()) return {};
    const auto last =
        std::ranges::max_element(regions, {}, [](const MessageRegion& region) { return region.span.end; });
    return rendering.text.substr(last->span.end);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    return {};
  }
}

/// The longest common start, ending with a line or a special token unless it is the whole prompt.
int64_t TurnFinder::common_header(std::string_view region, std::string_view prompt) const {
  const auto differ = std::ranges::mismatch(region, prompt);
  auto length = differ.in1 - region.begin();
  if (length == std::ssize(prompt)) return length;
  const std::string_view same = region.substr(0, length);
  const size_t line = same.rfind('\n');
  const int64_t after_line = line == std::string_view::npos ? 0 : static_cast<int64_t>(line) + 1;
  return std::max(after_line, end_of_special_token(same));
}

/// Where the last special token of a text ends; 0 if it has none.
int64_t TurnFinder::end_of_special_token(std::string_view text) const {
  int64_t at = 0, end = 0;
  special_tokens_.split(
      text, [&](std::string_view stretch) { at += std::ssize(stretch); },
      [&](const AddedToken& token) {
        at += std::ssize(token.content);
        end = at;
      });
  return end;
}

bool TurnFinder::ends_in_special_token(std::string_view turn) const {
  const int64_t end = end_of_special_token(turn);
  return end > 0 && is_blank(turn.substr(end));
}

/// Lets a turn end with its last special token: blanks after it are no target, and an end token that follows
/// the turn, as templates write it once after all messages, belongs to it.
void TurnFinder::close(std::vector<Span>& targets, std::string_view text) const {
  Span& last = targets.back();
  const std::string_view turn = piece(text, last);
  const int64_t end = end_of_special_token(turn);
  if (end > 0 && is_blank(turn.substr(end))) {
    last.end = last.begin + end;
  } else if (!end_.empty() && text.substr(last.end).starts_with(end_)) {
    last.end += std::ssize(end_);
  }
}

}  // namespace lowrank
