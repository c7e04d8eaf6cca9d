#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "data/rows/rows.h"

namespace lowrank {

/// True if a row has the field and it is neither null nor empty.
bool has_field(const nlohmann::ordered_json& row, const char* key);

/// Rejects a row with a field that changes what the row means and that its format does not read (a system
/// prompt, earlier turns of a chat, a second text, ...), unless the row as it was read has the field's text
/// elsewhere. Fields that do not affect training, such as an id, are ignored. Errors: invalid or unsupported,
/// the field named.
void check_unread_fields(const nlohmann::ordered_json& json, const Row& row);

/// What to do about a row that fits no format; begins with what the row contains.
std::string advice_for(const nlohmann::ordered_json& row);

}  // namespace lowrank
