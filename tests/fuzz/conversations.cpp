#include "base/json.h"
#include "data/conversations/message.h"
#include "data/conversations/targets.h"
#include "fuzz/input_files.h"
#include "fuzz/mutate_json.h"
#include "fuzz/target.h"

namespace lowrank::fuzz {
namespace {

constexpr JsonLimits limits{.depth = 32, .keys = 1000};

/// The first byte chooses the shape, and whether an answer is needed; the row follows.
ConversationRow conversation_of(std::string_view input) {
  const auto choice = static_cast<uint8_t>(input[0]);
  return read_conversation(parse_ordered_json(input.substr(1), "row", limits),
                           static_cast<ConversationShape>(choice % 3), choice & 64, "row");
}

/// What every reader of a conversation may rely on.
void check_whole(const ConversationRow& row) {
  const auto& messages = row.conversation.messages;
  bool whole = !messages.empty() && row.trained.size() == messages.size() &&
               row.first_target <= std::ssize(messages) && row.conversation.extra.is_object() &&
               (row.conversation.tools.is_null() || row.conversation.tools.is_array());
  for (const Json& message : messages) {
    const bool answer = message.at("role") == "assistant";
    whole = whole && (message.contains("content") || (answer && !is_empty_answer(message)));
  }
  for (const TrainOn train_on : {TrainOn::assistant, TrainOn::last, TrainOn::all}) {
    for (const int64_t target : target_messages(row, train_on))
      whole = whole && target >= 0 && target < std::ssize(messages);
  }
  if (!whole) throw std::logic_error("a conversation without what its readers need");
}

std::string mutate_row(std::string_view input, Mutation& mutation) {
  if (input.size() < 2) return mutation.changed(std::string(input));
  const char shape = mutation.once_in(20) ? static_cast<char>(mutation.below(256)) : input[0];
  const std::string row(input.substr(1));
  return shape + (mutation.once_in(10) ? mutation.changed(row) : changed_json(row, mutation));
}

}  // namespace

extern const Target conversations_target;
const Target conversations_target{[](std::string_view input) {
                                    if (!input.empty()) answers([&] { check_whole(conversation_of(input)); });
                                  },
                                  mutate_row};

}  // namespace lowrank::fuzz
