#include "data/encode_conversation.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/chat/message_regions.h"
#include "tokenizer/token_spans.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Span;

/// Fails if an answer that is to be learned is not, or not wholly, in the text.
void check_rendered(const Json& message, const AssistantTurn& turn, const Rendering& rendering,
                    const std::string& chat) {
  const int64_t number = turn.message + 1;
  const auto overlaps = [&](const jinja::OriginSpan& origin) {
    return origin.message == turn.message && std::ranges::any_of(turn.targets, [&](Span target) {
             return origin.begin < target.end && target.begin < origin.end;
           });
  };
  check(!has_text(message) || std::ranges::any_of(rendering.origins, overlaps), ErrorKind::invalid,
        "message {}: the chat template {} leaves out the answer's text", number, chat);
  std::string text;
  for (const Span& target : turn.targets) text += piece(rendering.text, target);
  const std::string lost = lost_call(message, text);
  check(
      lost.empty(), ErrorKind::invalid,
      "message {}: the chat template {} leaves out the tool call {}; give a template that writes tool calls "
      "(`chat_template`)",
      number, chat, lost);
}

/// [0, size) without the regions of messages that are not learned.
std::vector<Span> all_but(const Rendering& rendering, const std::vector<int64_t>& learned) {
  std::vector<Span> targets;
  int64_t begin = 0;
  for (const MessageRegion& region : message_regions(rendering)) {
    if (std::ranges::binary_search(learned, region.message)) continue;
    if (begin < region.span.begin) targets.push_back({begin, region.span.begin});
    begin = region.span.end;
  }
  if (begin < std::ssize(rendering.text)) targets.push_back({begin, std::ssize(rendering.text)});
  return targets;
}

void set_labels(Example& example, const std::vector<ByteSpan>& tokens, const std::vector<Span>& targets) {
  example.labels.assign(example.tokens.size(), no_target);
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    const bool target = std::ranges::any_of(
        targets, [&](Span span) { return tokens[i].begin < span.end && span.begin < tokens[i].end; });
    if (target) example.labels[i] = example.tokens[i];
  }
}

/// The targets of the answers and other messages that are learned.
std::vector<Span> chosen_parts(const ChatFormat& format, const Conversation& conversation,
                               const std::vector<int64_t>& learned, const Rendering& rendering,
                               ChatNotes& notes) {
  const std::string& chat = format.chat_template().name();
  const std::vector<AssistantTurn> turns = format.answers(conversation, rendering);
  std::vector<Span> targets;
  bool open = false;
  for (const int64_t message : learned) {
    const Json& fields = conversation.messages[message];
    if (!is_assistant(fields)) {
      const std::vector<Span> own = format.own_text(conversation, rendering, message);
      targets.insert(targets.end(), own.begin(), own.end());
      continue;
    }
    const auto turn = std::ranges::find(turns, message, &AssistantTurn::message);
    check(turn != turns.end(), ErrorKind::invalid, "message {}: the chat template {} leaves it out",
          message + 1, chat);
    check_rendered(fields, *turn, rendering, chat);
    open = open || !format.is_ended(piece(rendering.text, turn->targets.back()));
    targets.insert(targets.end(), turn->targets.begin(), turn->targets.end());
  }
  if (open) ++notes.open_answers;
  return targets;
}

}  // namespace

Example encode_conversation(const ChatFormat& format, const ConversationRow& row, TrainOn train_on,
                            int64_t max_length, ChatNotes& notes) {
  const Conversation conversation = format.prepared(row.conversation);
  const Rendering rendering = format.render(conversation, notes);
  const std::vector<int64_t> learned = target_messages(row, train_on);
  const std::vector<Span> targets = train_on == TrainOn::all
                                        ? all_but(rendering, learned)
                                        : chosen_parts(format, conversation, learned, rendering, notes);
  Example example;
  example.tokens = format.tokenizer().encode(rendering.text, false);
  set_labels(example, token_spans(format.tokenizer(), rendering.text, example.tokens), targets);
  const int64_t length = std::ssize(example.tokens);
  if (max_length > 0 && length > max_length) {
    example.length = length;
    example.tokens.resize(max_length);
    example.labels.resize(max_length);
  }
  return example;
}

}  // namespace lowrank
