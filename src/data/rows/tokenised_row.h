#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "data/rows/rows.h"

namespace lowrank {

/// Reads `input_ids` and the fields that go with them into `row`: `labels` (default: the ids themselves),
/// `attention_mask` (0: padding at an end, which is removed), and the masks `completion_mask`,
/// `assistant_masks` and `loss_mask` (0: not a target). Errors: invalid for values that are not ids, for
/// different lengths, for an attention mask with holes, and for `token_type_ids` and `position_ids` that are
/// not those of one plain text; `where` in front.
void read_tokenised(const nlohmann::ordered_json& json, const std::string& where, Row& row);

}  // namespace lowrank
