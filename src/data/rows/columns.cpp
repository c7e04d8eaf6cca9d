#include "data/rows/columns.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 28> known_fields{
    "prompt",        "completion", "text",      "instruction",    "input",     "output",
    "input_ids",     "labels",     "label",     "attention_mask", "adapter",   "messages",
    "conversations", "tools",      "functions", "system",         "history",   "chat_template_kwargs",
    "conversation",  "documents",  "sentence1", "sentence2",      "text_pair", "anchor",
    "positive",      "negative",   "negatives", "score"};

std::optional<size_t> position(const std::string& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number >= 1 && number <= 1000 ? std::optional(number) : std::nullopt;
}

}  // namespace

Columns read_columns(const std::vector<std::string>& entries) {
  Columns columns;
  std::vector<std::string> fields;
  for (const std::string& entry : entries) {
    const size_t equals = std::min(entry.find('='), entry.size());
    const std::string field = entry.substr(0, equals);
    const bool known = std::ranges::find(known_fields, field) != known_fields.end();
    check(known && equals + 1 < entry.size(), ErrorKind::invalid,
          "`columns`: '{}' is not field=column with a field of {}", entry, fmt::join(known_fields, ", "));
    const std::string column = entry.substr(equals + 1);
    const std::optional<size_t> place = position(column);
    if (place) columns.headerless.resize(std::max(columns.headerless.size(), *place));
    std::string& slot = place ? columns.headerless[*place - 1] : columns.field_of[column];
    check(slot.empty(), ErrorKind::invalid, "`columns`: {} is used twice", column);
    check(std::ranges::count(fields, field) == 0, ErrorKind::invalid, "`columns`: {} is given twice", field);
    fields.push_back(field);
    slot = field;
  }
  check(columns.headerless.empty() || columns.field_of.empty(), ErrorKind::invalid,
        "`columns`: give names (of a header) or numbers (without one), not both");
  return columns;
}

Json Columns::renamed(const Json& row, const std::string& where) const {
  if (field_of.empty()) return row;
  Json result = Json::object();
  for (const auto& [name, value] : row.items()) {
    const auto found = field_of.find(name);
    if (found != field_of.end()) result[found->second] = value;
  }
  for (const auto& [name, field] : field_of) {
    check(result.contains(field), ErrorKind::invalid, "{}: the row has no \"{}\", which `columns` names",
          where, name);
  }
  return result;
}

}  // namespace lowrank
