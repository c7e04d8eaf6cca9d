#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/chat/conversation.h"

namespace lowrank {

/// How a row holds a conversation.
enum class ConversationShape {
  messages,  ///< {"messages" or "conversations": [...], "tools", "system"}
  prompt,    ///< {"prompt": [...], "completion": [...]}, TRL's conversational form
  alpaca,    ///< {"system", "history", "instruction", "input", "output"}
};

/// A row's conversation, and what the row says about training on it.
struct ConversationRow {
  Conversation conversation;
  std::vector<std::optional<bool>> trained;  ///< for each message: ChatMessage::trained
  int64_t first_target = 0;                  ///< messages before this one are a prompt
};

/// The key under which a row has its list of messages: messages, conversations or conversation; null if it
/// has none.
const char* message_list_key(const nlohmann::ordered_json& row);

/// Reads the row's conversation. All shapes take `tools` (or the older `functions`), `documents`, `system`
/// and `chat_template_kwargs` (the template's further variables) beside the messages. `where` stands in front
/// of errors. Without `need_completion`, the last answer may be missing. Errors: invalid, unsupported or
/// corrupt for missing fields, wrong types and what `read_message` and `read_tools` refuse.
ConversationRow read_conversation(const nlohmann::ordered_json& row, ConversationShape shape,
                                  bool need_completion, const std::string& where);

}  // namespace lowrank
