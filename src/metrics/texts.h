#pragma once

#include <span>
#include <string>
#include <vector>

namespace lowrank::metrics {

/// The texts that a predicted text may equal; their number may differ from text to text.
using References = std::vector<std::string>;

/// Whether the texts can be scored. Errors: invalid when there are none, when there are not as many lists of
/// references as predictions, or when a list is empty, which is named by its number (from 1).
void check_texts(std::span<const std::string> predictions, std::span<const References> references);

/// How many references each text has, as sacrebleu's signatures write it: a number, or "var".
std::string reference_count(std::span<const References> references);

/// The last part of sacrebleu's signatures: the version whose scores ours equal.
inline constexpr const char* sacrebleu_version = "version:2.6.0";

}  // namespace lowrank::metrics
