#include "data/rows.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/data_files.h"
#include "data/row_fields.h"
#include "data/tokenised_row.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

struct Layout {
  std::string_view name;
  RowFormat format;
  std::string_view key;  ///< a row with this key has the format
};
// Checked in order: a row with both ids and text is tokenised. Labels are read only if the format is given by
// name.
constexpr std::array<Layout, 5> layouts{{
    {"tokenised", RowFormat::tokenised, "input_ids"},
    {"prompt", RowFormat::prompt_completion, "prompt"},
    {"alpaca", RowFormat::alpaca, "instruction"},
    {"text", RowFormat::text, "text"},
    {"label", RowFormat::labelled, "text"},
}};

const Layout* detect(const Json& row) {
  for (const Layout& layout : layouts) {
    if (row.contains(layout.key)) return &layout;
  }
  return nullptr;
}

const Layout& named(std::string_view name) {
  for (const Layout& layout : layouts) {
    if (layout.name == name) return layout;
  }
  fail(ErrorKind::invalid,
       "the data format '{}' is not known; known are prompt, text, alpaca, tokenised, "
       "label",
       name);
}

class RowReader {
 public:
  RowReader(const Json& row, std::string where) : row_(row), where_(std::move(where)) {}

  std::string text(const char* key, bool required = true) const {
    const auto found = field(key, required);
    if (found == row_.end()) return {};
    check(found->is_string(), ErrorKind::invalid, "{}: \"{}\" must be a string, not {}{}", where_, key,
          found->is_binary() ? "number" : found->type_name(),
          found->is_array() ? " (chat rows are not supported yet: render them with the model's chat template)"
                            : "");
    return found->get<std::string>();
  }

  /// A string, number or boolean as text.
  std::string scalar(const char* key, bool required) const {
    const auto found = field(key, required);
    if (found == row_.end()) return {};
    const bool number = found->is_number() || found->is_binary();
    check(found->is_string() || number || found->is_boolean(), ErrorKind::invalid,
          "{}: \"{}\" must be a string or a number, not {}", where_, key, found->type_name());
    std::string text = found->is_string() ? found->get<std::string>() : row_text(*found);
    if (number && text.find_first_of(".eE") != std::string::npos)
      text = fmt::format("{}", Json::parse(text).get<double>());
    if (text.size() > 2 && text.ends_with(".0")) text.resize(text.size() - 2);
    return text;
  }

 private:
  /// The field, or end() if it is missing and not required.
  Json::const_iterator field(const char* key, bool required) const {
    const auto found = row_.find(key);
    if (!required && found != row_.end() && found->is_null()) return row_.end();
    if (found == row_.end() && required)
      fail(ErrorKind::invalid, "{}: the row has no \"{}\"{}", where_, key, hint(key));
    return found;
  }

  /// A hint at what was probably meant by a row without the field.
  std::string hint(const std::string& key) const {
    if (key == "completion" && row_.contains("instruction") && row_.contains("output"))
      return "; it has \"instruction\" and \"output\", which `format` alpaca reads";
    for (const char* other : {"messages", "conversations", "conversation", "chosen"}) {
      if (row_.contains(other)) return "; " + advice_for(row_);
    }
    for (const char* other : {"response", "answer", "output", "target"}) {
      if (key == "completion" && row_.contains(other))
        return fmt::format("; `columns` prompt=prompt,completion={} takes it from \"{}\"", other, other);
    }
    if (key == "text" || key == "label")
      return "; `columns` text=NAME,label=NAME gives other names, text=1,label=2 those of a table without "
             "header";
    return {};
  }

  const Json& row_;
  std::string where_;
};

/// Stanford Alpaca's prompts (Taori et al. 2023, PROMPT_DICT of its train.py).
std::string alpaca_prompt(const std::string& instruction, const std::string& input) {
  const bool alone = input.empty();
  return fmt::format(
      "Below is an instruction that describes a task{}. Write a response that appropriately completes the "
      "request.\n\n### Instruction:\n{}{}{}\n\n### Response:",
      alone ? "" : ", paired with an input that provides further context", instruction,
      alone ? "" : "\n\n### Input:\n", input);
}

Row make_row(const Json& json, RowFormat format, bool need_completion, int64_t line,
             const std::string& where) {
  const RowReader read(json, where);
  Row row;
  row.line = line;
  row.where = where;
  row.format = format;
  if (const auto adapter = json.find("adapter"); adapter != json.end() && adapter->is_string())
    row.adapter = adapter->get<std::string>();
  switch (format) {
    case RowFormat::prompt_completion:
      row.prompt = read.text("prompt");
      row.completion = read.text("completion", need_completion);
      break;
    case RowFormat::text:
      row.completion = read.text("text");
      break;
    case RowFormat::labelled:
      row.completion = read.text("text");
      row.label = read.scalar("label", need_completion);
      break;
    case RowFormat::alpaca:
      row.prompt = alpaca_prompt(read.text("instruction"), read.text("input", false));
      row.completion = read.text("output", need_completion);
      break;
    case RowFormat::tokenised:
      read_tokenised(json, where, row);
  }
  check_unread_fields(json, format, where);
  return row;
}

/// The renaming that `columns` asks for.
struct Columns {
  std::map<std::string, std::string> field_of;  ///< by the name in the file
  std::vector<std::string> headerless;          ///< by position
};

constexpr std::array<std::string_view, 11> known_fields{
    "prompt",    "completion", "text",  "instruction",    "input",  "output",
    "input_ids", "labels",     "label", "attention_mask", "adapter"};

std::optional<size_t> position(const std::string& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number >= 1 && number <= 1000 ? std::optional(number) : std::nullopt;
}

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

/// The fields that `columns` names, under their field names; all other keys are left out.
Json renamed(const Json& row, const Columns& columns, const std::string& where) {
  Json result = Json::object();
  for (const auto& [name, value] : row.items()) {
    const auto found = columns.field_of.find(name);
    if (found != columns.field_of.end()) result[found->second] = value;
  }
  for (const auto& [name, field] : columns.field_of) {
    check(result.contains(field), ErrorKind::invalid, "{}: the row has no \"{}\", which `columns` names",
          where, name);
  }
  return result;
}

}  // namespace

int64_t adapter_of(const std::string& adapter, const std::string& where,
                   const std::function<int64_t(const std::string& name)>& number) try {
  check(!adapter.empty(), ErrorKind::invalid,
        "the row names no adapter (\"adapter\"; \"base\" stands for the model without one)");
  return number(adapter);
} catch (const Error& error) {
  throw Error(error.kind(), fmt::format("{}: {}", where, error.what()), error.hint());
}

void read_rows(const std::string& pattern, const RowOptions& options,
               const std::function<void(Row, const nlohmann::ordered_json&)>& take) {
  const Layout* layout = options.format.empty() ? nullptr : &named(options.format);
  const Columns columns = read_columns(options.columns);
  for (const std::filesystem::path& file : data_files(pattern)) {
    int64_t rows = 0;
    read_data_file(file, {columns.headerless}, [&](const DataRow& data) {
      throw_if_interrupted();
      ++rows;
      const Json other = columns.field_of.empty() ? Json() : renamed(data.fields, columns, data.where);
      const Json& fields = columns.field_of.empty() ? data.fields : other;
      const Layout* found = detect(fields);
      if (!layout) layout = found;
      check(layout != nullptr, ErrorKind::invalid, "{}: {}", data.where, advice_for(fields));
      check(fields.contains(layout->key) || !found, ErrorKind::invalid,
            "{}: a row of format {} among rows of format {}", data.where, found ? found->name : "",
            layout->name);
      take(make_row(fields, layout->format, options.need_completion, data.line, data.where), data.fields);
    });
    check(rows > 0, ErrorKind::invalid, "{}: no rows", file.string());
  }
}

}  // namespace lowrank
