#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace lowrank {

/// The content of a message: a string, or an array of parts {"type": "text", "text"}; a part that is only
/// {"text"} gets its type. `where` names the message. Errors: invalid for another type; unsupported for
/// parts that are no text (images, audio, ...).
nlohmann::ordered_json message_content(const nlohmann::ordered_json& content, const std::string& where);

/// True if a content of `message_content` has no text.
bool is_empty_content(const nlohmann::ordered_json& content);

/// True if a content of `message_content`, or one of its parts, is `text` or has it inside (the latter for
/// texts of up to 4096 bytes).
bool content_holds(const nlohmann::ordered_json& content, const std::string& text);

}  // namespace lowrank
