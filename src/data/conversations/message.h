#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A message as a chat template reads it.
struct ChatMessage {
  /// {"role", "content", ...}: keys in the row's order, without those that are null.
  nlohmann::ordered_json fields;
  /// What the row itself says about training on it: `training`, or OpenAI's `weight`.
  std::optional<bool> trained;
};

/// Reads {"role", "content"} or {"from", "value"}, also mixed. Roles are mapped to system, developer, user,
/// assistant and tool; ShareGPT's names are in docs/formats.md, and its function_call becomes a message with
/// `tool_calls`, as does OpenAI's old key of that name. Other keys (`name`, `tool_call_id`,
/// `reasoning_content`, ...) are the template's and stay. `where` names the message. Errors: invalid,
/// unsupported or corrupt for unknown roles, a message without content, and keys that would be lost (images,
/// audio, ...).
ChatMessage read_message(const nlohmann::ordered_json& given, const std::string& where);

/// True if an assistant message has neither text nor reasoning nor tool calls, so that it teaches nothing but
/// its end.
bool is_empty_answer(const nlohmann::ordered_json& message);

}  // namespace lowrank
