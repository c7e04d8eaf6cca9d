#include "session/text_rows.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "data/dataset.h"
#include "data/rows/rows.h"

namespace lowrank {

std::vector<Field> TextRowOptions::fields() {
  return {any_text(field("text", text, "one text")),
          field("data", data,
                "rows with texts: JSON lines, JSON array, CSV, TSV or Parquet; a file, a folder, or a "
                "pattern with *"),
          field("columns", columns, columns_help),
          field("output", output, "file for the rows with their results; empty: standard output"),
          limited(field("batch_size", batch_size, "texts computed together"), 1, 1 << 16)};
}

bool any_has(const std::vector<nlohmann::ordered_json>& rows, const std::string& key) {
  return std::ranges::any_of(rows, [&](const nlohmann::ordered_json& row) { return row.contains(key); });
}

TextRows read_text_rows(const TextRowOptions& options, const Tokenizer& tokenizer, int64_t max_length,
                        const std::string& prompt) {
  check(options.text.empty() != options.data.empty(), ErrorKind::invalid, "give either `text` or `data`");
  TextRows result;
  int64_t cut = 0;
  const auto take = [&](const std::string& text, const std::optional<std::string>& second,
                        const nlohmann::ordered_json& json) {
    Tokenizer::Pair pair;
    if (second) {
      pair = tokenizer.encode_pair(prompt + text, *second, max_length);
    } else {
      pair.ids = tokenizer.encode(prompt + text, true);
      pair.length = std::ssize(pair.ids);
      cut_text(pair.ids, max_length, tokenizer);
    }
    if (pair.length > max_length) ++cut;
    result.rows.push_back(json);
    result.ids.push_back(std::move(pair.ids));
    result.type_one.push_back(pair.type_one);
  };
  if (options.data.empty()) {
    take(options.text, std::nullopt, {{"text", options.text}});
  } else {
    read_rows(
        options.data, {"label", options.columns, false},
        [&](const Row& row, const nlohmann::ordered_json& json) { take(row.completion, row.second, json); });
  }
  if (cut > 0)
    warn("{0} {1} longer than the {2} that the model takes and {1} cut", counted(cut, "text"),
         cut == 1 ? "is" : "are", counted(max_length, "token"));
  return result;
}

}  // namespace lowrank
