#include "data/rows/rows.h"

#include "base/error.h"
#include "data/rows/row_fields.h"
#include "data/rows/row_layouts.h"
#include "data/rows/tokenised_row.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

class RowReader {
 public:
  RowReader(const Json& row, std::string where) : row_(row), where_(std::move(where)) {}

  std::string text(const char* key, bool required = true) const {
    const auto found = field(key, required);
    if (found == row_.end()) return {};
    check(found->is_string(), ErrorKind::invalid, "{}: \"{}\" must be a string, not {}{}", where_, key,
          found->is_binary() ? "number" : found->type_name(),
          found->is_array() ? " (rows of strings and rows of messages cannot be mixed in one data set)" : "");
    return found->get<std::string>();
  }

  /// A string, number or boolean as text.
  std::string scalar(const char* key, bool required) const {
    const auto found = field(key, required);
    return found == row_.end() ? std::string() : scalar(key, *found);
  }

  /// The same of a value of the field.
  std::string scalar(const char* key, const Json& value) const {
    const bool number = value.is_number() || value.is_binary();
    check(value.is_string() || number || value.is_boolean(), ErrorKind::invalid,
          "{}: \"{}\" must be a string or a number, not {}", where_, key, value.type_name());
    std::string text = value.is_string() ? value.get<std::string>() : row_text(value);
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
    if (row_.contains("chosen")) return "; " + advice_for(row_);
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

ConversationShape shape_of(RowFormat format) {
  if (format == RowFormat::prompt_messages) return ConversationShape::prompt;
  return format == RowFormat::alpaca_chat ? ConversationShape::alpaca : ConversationShape::messages;
}

/// One text or two, with a label or a list of labels.
void read_labelled(const RowReader& read, const Json& json, bool need_label, Row& row) {
  const bool sentences = json.contains("sentence1") && !json.contains("text");
  row.completion = read.text(sentences ? "sentence1" : "text");
  const char* second = sentences ? "sentence2" : "text_pair";
  if (sentences || has_field(json, second)) row.second = read.text(second);
  const auto label = json.find("label");
  row.lists_classes = label != json.end() && label->is_array();
  if (!row.lists_classes) {
    row.label = read.scalar("label", need_label);
    return;
  }
  for (const Json& entry : *label) row.classes.push_back(read.scalar("label", entry));
}

/// `json`: the fields of `data` under the names that formats have.
Row make_row(const Json& json, const RowLayout& layout, bool need_completion, const DataRow& data) {
  const std::string& where = data.where;
  const RowReader read(json, where);
  const RowFormat format = layout.format;
  Row row;
  row.line = data.line;
  row.in_array = data.in_array;
  row.where = where;
  row.format = format;
  row.format_name = layout.name;
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
      read_labelled(read, json, need_completion, row);
      break;
    case RowFormat::alpaca:
      row.prompt = alpaca_prompt(read.text("instruction"), read.text("input", false));
      row.completion = read.text("output", need_completion);
      break;
    case RowFormat::tokenised:
      read_tokenised(json, where, row);
      break;
    case RowFormat::pairs:
      row.compared = read_pair(json, where);
      break;
    case RowFormat::scores:
      row.compared = read_scored(json, where);
      break;
    case RowFormat::messages:
    case RowFormat::prompt_messages:
    case RowFormat::alpaca_chat:
      row.conversation = read_conversation(json, shape_of(format), need_completion, where);
  }
  check_unread_fields(json, row);
  return row;
}

/// Reads all files; only the first row with a known layout decides on it, so until then rows are read one by
/// one.
void read_each(const std::string& pattern, const RowOptions& options, unsigned threads,
               const std::function<OrderedWork::End(Row, const Json&)>& begin) {
  RowParser parser(options);
  int64_t rows = 0;
  RowWork work;
  work.threads = threads;
  work.apart = [&] { return parser.decided(); };
  work.begin = [&](const DataRow& data) -> OrderedWork::End {
    Row row = parser.parse(data);
    return [&rows, end = begin(std::move(row), data.fields)] {
      ++rows;
      if (end) end();
    };
  };
  for (const std::filesystem::path& file : data_files(pattern)) {
    rows = 0;
    read_data_file(file, {parser.headerless()}, work);
    check(rows > 0, ErrorKind::invalid, "{}: no rows", file.string());
  }
}

}  // namespace

bool is_conversation(RowFormat format) {
  return format == RowFormat::messages || format == RowFormat::prompt_messages ||
         format == RowFormat::alpaca_chat;
}

bool is_compared(RowFormat format) {
  return format == RowFormat::pairs || format == RowFormat::scores;
}

RowParser::RowParser(RowOptions options)
    : options_(std::move(options)), columns_(read_columns(options_.columns)) {
  if (!options_.format.empty()) check_layout_name(options_.format);
}

Row RowParser::parse(const DataRow& data) {
  const bool renames = !columns_.field_of.empty();
  const Json other = renames ? columns_.renamed(data.fields, data.where) : Json();
  const Json& fields = renames ? other : data.fields;
  const RowLayout* found = detected_layout(fields);
  if (!layout_) layout_ = options_.format.empty() ? found : &named_layout(options_.format, fields);
  check(layout_ != nullptr, ErrorKind::invalid, "{}: {}", data.where, advice_for(fields));
  check(layout_->fits(fields) || !found, ErrorKind::invalid, "{}: a row of format {} among rows of format {}",
        data.where, found ? found->name : "", layout_->name);
  return make_row(fields, *layout_, options_.need_completion, data);
}

std::optional<RowFormat> first_format(const std::string& pattern, const RowOptions& options) {
  struct Found {
    const RowLayout* layout;
  };
  try {
    const Columns columns = read_columns(options.columns);
    const std::vector<std::filesystem::path> files = data_files(pattern);
    if (files.empty()) return std::nullopt;
    read_data_file(files.front(), {columns.headerless}, [&](const DataRow& data) {
      const Json fields = columns.field_of.empty() ? data.fields : columns.renamed(data.fields, data.where);
      if (!options.format.empty()) throw Found{&named_layout(options.format, fields)};
      throw Found{detected_layout(fields)};
    });
  } catch (const Found& found) {
    return found.layout ? std::optional(found.layout->format) : std::nullopt;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
  }
  return std::nullopt;
}

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
  read_each(pattern, options, 0, [&](Row row, const Json& json) {
    take(std::move(row), json);
    return OrderedWork::End();
  });
}

void read_rows_apart(const std::string& pattern, const RowOptions& options, unsigned threads,
                     const std::function<OrderedWork::End(Row)>& begin) {
  read_each(pattern, options, threads, [&](Row row, const Json&) { return begin(std::move(row)); });
}

}  // namespace lowrank
