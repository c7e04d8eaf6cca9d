#include "text/rows.h"

#include <array>

#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "text/byte_level.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_line_bytes = 64 << 20;
constexpr int max_depth = 32;
constexpr int64_t max_keys = 1000;

struct Layout {
  std::string_view name;
  RowFormat format;
  std::string_view key;  ///< a row with this key has the format
};
// Looked through in order: a row with both ids and text is tokenised.
constexpr std::array<Layout, 4> layouts{{
    {"tokenised", RowFormat::tokenised, "input_ids"},
    {"prompt", RowFormat::prompt_completion, "prompt"},
    {"alpaca", RowFormat::alpaca, "instruction"},
    {"text", RowFormat::text, "text"},
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
  fail(ErrorKind::invalid, "the data format '{}' is not known; known are prompt, text, alpaca, tokenised",
       name);
}

class RowReader {
 public:
  RowReader(const Json& row, std::string where) : row_(row), where_(std::move(where)) {}

  std::string text(const char* key, bool required = true) const {
    const auto found = row_.find(key);
    if (found == row_.end() && !required) return {};
    check(found != row_.end(), ErrorKind::invalid, "{}: the row has no \"{}\"", where_, key);
    check(found->is_string(), ErrorKind::invalid, "{}: \"{}\" must be a string, not {}", where_, key,
          found->type_name());
    return found->get<std::string>();
  }

  std::vector<int64_t> ids(const char* key) const {
    const auto found = row_.find(key);
    check(found != row_.end() && found->is_array(), ErrorKind::invalid, "{}: \"{}\" must be an array of ids",
          where_, key);
    std::vector<int64_t> ids;
    for (const Json& id : *found) {
      check(id.is_number_integer() && id >= -100 && id < (int64_t{1} << 31), ErrorKind::invalid,
            "{}: \"{}\" holds {}, which is no token id", where_, key, id.dump());
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

 private:
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
  row.format = format;
  switch (format) {
    case RowFormat::prompt_completion:
      row.prompt = read.text("prompt");
      row.completion = read.text("completion", need_completion);
      break;
    case RowFormat::text:
      row.completion = read.text("text");
      break;
    case RowFormat::alpaca:
      row.prompt = alpaca_prompt(read.text("instruction"), read.text("input", false));
      row.completion = read.text("output", need_completion);
      break;
    case RowFormat::tokenised:
      row.input_ids = read.ids("input_ids");
      row.labels = json.contains("labels") ? read.ids("labels") : row.input_ids;
      check(row.labels.size() == row.input_ids.size(), ErrorKind::invalid, "{}: {} labels for {} input_ids",
            where, row.labels.size(), row.input_ids.size());
  }
  return row;
}

Json parse_line(std::string_view line, const std::string& where) {
  check(line.size() <= max_line_bytes, ErrorKind::corrupt, "{}: a line of {} bytes, more than {}", where,
        line.size(), max_line_bytes);
  const std::optional<size_t> malformed = first_malformed(line);
  check(!malformed, ErrorKind::corrupt, "{}: not UTF-8 at byte {} of the line", where, malformed.value_or(0));
  Json row = parse_ordered_json(line, where, {.depth = max_depth, .keys = max_keys});
  check(row.is_object(), ErrorKind::corrupt, "{}: not a JSON object", where);
  return row;
}

}  // namespace

void read_rows(const std::filesystem::path& path, std::string_view format, bool need_completion,
               const std::function<void(Row, const nlohmann::ordered_json&)>& take) {
  const MmapFile file = MmapFile::open(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  const Layout* layout = format.empty() ? nullptr : &named(format);
  int64_t line_number = 0;
  int64_t rows = 0;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), line_number);
    const Json json = parse_line(line, where);
    const Layout* found = detect(json);
    if (!layout) layout = found;
    check(layout != nullptr, ErrorKind::invalid,
          "{}: no known fields; rows have prompt and completion, text, instruction and output, or input_ids",
          where);
    check(json.contains(layout->key) || !found, ErrorKind::invalid,
          "{}: a row of format {} among rows of format {}", where, found ? found->name : "", layout->name);
    take(make_row(json, layout->format, need_completion, line_number, where), json);
    ++rows;
  }
  check(rows > 0, ErrorKind::invalid, "{}: no rows", path.string());
}

}  // namespace lowrank
