#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "text/rows.h"

namespace lowrank {

/// True where a row has the field and it is neither null nor empty.
bool has_field(const nlohmann::ordered_json& row, const char* key);

/// Refuses a row with a field that changes what the row means and that its format does not read (a system
/// prompt, earlier turns of a chat, a second text, ...). Fields that say nothing of the training, such as an
/// id, are left alone. Errors: invalid, the field named.
void check_unread_fields(const nlohmann::ordered_json& row, RowFormat format, const std::string& where);

/// What to do with a row whose layout no format has; begins with what it has.
std::string advice_for(const nlohmann::ordered_json& row);

}  // namespace lowrank
