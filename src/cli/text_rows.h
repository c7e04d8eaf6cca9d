#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "text/tokenizer.h"

namespace lowrank {

/// Where the whole texts of a command come from and where its rows go.
struct TextRowOptions {
  std::string text, data, output;
  std::vector<std::string> columns;
  int64_t batch_size = 32;

  std::vector<Field> fields();
};

/// Rows of a file, with the ids of their texts.
struct TextRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> ids;
};

/// The rows of `data`, or one of `text`. Texts longer than `max_length` tokens are cut, which is told.
/// Errors: as read_rows; invalid unless one of the two is given.
TextRows read_text_rows(const TextRowOptions& options, const Tokenizer& tokenizer, int64_t max_length);

/// Writes JSON lines to a file, complete or not there, or to standard output where `path` is empty.
void write_rows(const std::vector<nlohmann::ordered_json>& rows, const std::string& path);

}  // namespace lowrank
