#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// How a row of a JSON-lines file is laid out.
enum class RowFormat {
  prompt_completion,  ///< {"prompt", "completion"}
  text,               ///< {"text"}
  alpaca,             ///< {"instruction", "input", "output"}
  tokenised,          ///< {"input_ids", "labels"}
};

/// A row as strings, or as ids where it is tokenised already.
struct Row {
  int64_t line = 0;  ///< counted from 1
  RowFormat format = RowFormat::text;
  std::string prompt;      ///< empty for `text`
  std::string completion;  ///< the whole text for `text`
  std::vector<int64_t> input_ids, labels;
};

/// Calls `take` with every row of a JSON-lines file, in order, and its number of lines read so far. Blank
/// lines are skipped; CRLF and a byte order mark are accepted. All rows have the first row's format, or
/// `format` when it is named (prompt, text, alpaca, tokenised). Errors, with file and line: not_found;
/// invalid for folders, pipes and empty files; corrupt for lines that are no JSON object, no UTF-8, or longer
/// than 64 MB; invalid for missing or non-string fields and mixed formats. `need_completion`: false for rows
/// that are only prompts.
void read_rows(const std::filesystem::path& path, std::string_view format, bool need_completion,
               const std::function<void(Row, const nlohmann::ordered_json&)>& take);

}  // namespace lowrank
