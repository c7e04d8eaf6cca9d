#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/conversations/conversation_row.h"

namespace lowrank {

/// What of a row is learned. In rows with a prompt and a completion the completion is the only answer.
enum class TrainOn {
  assistant,  ///< every answer of the assistant
  last,       ///< the last of these answers
  all,        ///< the whole text
};

/// Help text of the option, for commands.
inline constexpr const char* train_on_help =
    "what is learned of conversations and of prompts with completions: assistant (every answer), last (the "
    "last answer) or all";

/// The value with this name. Errors: invalid for another name.
TrainOn train_on_named(std::string_view name);

/// The messages that are learned, as indices into `row.conversation.messages`, ascending. What the row says
/// (`trained`) goes first: false excludes a message, true includes it whatever its role. Of the others, `all`
/// takes every one, `assistant` the assistant's from `row.first_target` on; `last` keeps the last of these.
std::vector<int64_t> target_messages(const ConversationRow& row, TrainOn train_on);

/// The conversation up to the answer that is asked for: without the completion, or without the assistant's
/// messages at the end.
Conversation before_answer(const ConversationRow& row);

}  // namespace lowrank
