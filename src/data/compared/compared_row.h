#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// The texts of a row whose embeddings are compared.
struct ComparedRow {
  std::vector<std::string> texts;  ///< anchor, positive, negatives; or two sentences
  std::optional<double> score;     ///< of two sentences, -1 to 1
};

/// The texts of {"anchor", "positive"}, and of "negative" or "negatives" (a text or a list) and "negative_1",
/// "negative_2", ..., if any, in this order. Errors: invalid, with all that is wrong with the row: missing,
/// empty or other than texts.
ComparedRow read_pair(const nlohmann::ordered_json& row, const std::string& where);

/// The texts of {"sentence1", "sentence2", "score"}; the score may be called "label". Errors: invalid, with
/// all that is wrong with the row: also a score that is no number from -1 to 1.
ComparedRow read_scored(const nlohmann::ordered_json& row, const std::string& where);

}  // namespace lowrank
