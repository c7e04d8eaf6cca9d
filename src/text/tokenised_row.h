#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "text/rows.h"

namespace lowrank {

/// Reads `input_ids` and what belongs to them into `row`: `labels` (else the ids themselves),
/// `attention_mask` (0: padding at an end, which goes), and the masks `completion_mask`, `assistant_masks`
/// and `loss_mask` (0: no target). Errors: invalid for what is no id, for other lengths, for a mask with
/// holes, and for `token_type_ids` and `position_ids` that are not those of one plain text; `where` in front.
void read_tokenised(const nlohmann::ordered_json& json, const std::string& where, Row& row);

}  // namespace lowrank
