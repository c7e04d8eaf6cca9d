#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// Bytes as base64 text with padding (RFC 4648).
std::string to_base64(std::string_view bytes);

/// The bytes that such a text stands for; nothing if it is not one.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace lowrank
