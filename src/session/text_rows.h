#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Where a command's texts come from and where its rows go.
struct TextRowOptions {
  std::string text, data, output;
  std::vector<std::string> columns;
  int64_t batch_size = 32;

  std::vector<Field> fields();
};

/// True if any row has this key.
bool any_has(const std::vector<nlohmann::ordered_json>& rows, const std::string& key);

/// Rows of a file, with the token ids of their texts.
struct TextRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> ids;
  std::vector<int64_t> type_one;  ///< [rows] ids at the end with token type 1: those of a second text
};

/// The rows of `data`, or one with `text`, with `prompt` in front of each text; two texts of a row become one
/// as the tokenizer pairs them. Those longer than
/// `max_length` tokens are cut, with a warning. Errors: as read_rows; invalid unless exactly one of the two
/// is given.
TextRows read_text_rows(const TextRowOptions& options, const Tokenizer& tokenizer, int64_t max_length,
                        const std::string& prompt = {});

}  // namespace lowrank
