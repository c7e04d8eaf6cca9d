#include "data/rows/table_reader.h"

#include <algorithm>
#include <csv.h>
#include <memory>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr size_t max_columns = 1000;
/// Further fields of a row are counted, not kept: there may be millions.
constexpr size_t most_fields = 2 * max_columns;

struct TableColumns {
  std::vector<std::string> names;
  bool named_by_header = false;
};

/// libcsv's state with our callbacks.
class Reader {
 public:
  Reader(const std::string& file, const TableFormat& format, const GiveRow& give)
      : file_(file), needs_header_(format.columns.empty()), give_(give) {
    columns_->names = format.columns;
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_delim(&parser_, static_cast<unsigned char>(format.separator));
    // Spaces around a field belong to it. A quote character of 0 means none, since the text has no zero
    // bytes.
    csv_set_space_func(&parser_, [](unsigned char) { return 0; });
    if (!format.quotes) csv_set_quote(&parser_, 0);
  }
  ~Reader() { csv_free(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void read(TextWindow& window) {
    size_t offset = 0, row_bytes = 0;
    while (const std::optional<std::string_view> line = next_line(window, location(line_ + 1))) {
      ++line_;
      if (!in_row_) {
        first_line_ = line_;
        row_bytes = 0;
      }
      in_row_ = true;
      check_line(*line, offset, row_bytes += line->size());
      const size_t parsed = csv_parse(&parser_, line->data(), line->size(), on_field, on_row, this);
      rethrow();
      check(
          parsed == line->size(), ErrorKind::corrupt,
          "{}:{}: a quotation mark within a field (at byte {}); write the whole field in quotation marks and "
          "those within it twice (\"5\"\" disk\"), or save the table as .tsv, where they are plain text",
          file_, line_, parsed + 1);
      offset += line->size();
    }
    const int result = csv_fini(&parser_, on_field, on_row, this);
    rethrow();
    check(result == 0, ErrorKind::corrupt, "{}:{}: a quotation mark that does not close", file_, first_line_);
  }

 private:
  std::string location(int64_t line) const { return fmt::format("{}:{}", file_, line); }

  void check_line(std::string_view line, size_t offset, size_t row_bytes) const {
    const size_t zero = line.find('\0');
    check(zero == std::string_view::npos, ErrorKind::corrupt, "{}: a zero byte at offset {}", file_,
          offset + zero);
    check(row_bytes <= max_row_bytes, ErrorKind::corrupt,
          "{}:{}: a row of more than {} bytes (a quotation mark that does not close?)", file_, first_line_,
          max_row_bytes);
  }

  // C code calls these: exceptions must not pass through it.
  static void on_field(void* field, size_t size, void* self) {
    auto* reader = static_cast<Reader*>(self);
    if (!reader->error_ && ++reader->field_count_ <= most_fields)
      reader->fields_.emplace_back(static_cast<const char*>(field), size);
  }
  static void on_row(int, void* self) {
    auto* reader = static_cast<Reader*>(self);
    if (reader->error_) return;
    try {
      reader->end_row();
    } catch (...) {
      reader->error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

  void end_row() {
    in_row_ = false;
    std::string where = location(first_line_);
    const size_t count = std::exchange(field_count_, 0);
    std::vector<std::string> fields = std::move(fields_);
    fields_.clear();
    if (needs_header_) {
      check(count <= max_columns, ErrorKind::corrupt, "{}: {} columns, more than {}", where, count,
            max_columns);
      return take_header(std::move(fields), where);
    }
    size_t bytes = 0;
    for (const std::string& field : fields) bytes += field.size();
    give_(
        where, first_line_,
        [columns = columns_, where, line = first_line_, fields = std::move(fields), count]() mutable {
          return row_of(*columns, where, line, fields, count);
        },
        bytes);
  }

  static DataRow row_of(const TableColumns& columns, const std::string& where, int64_t line,
                        std::vector<std::string>& fields, size_t count) {
    const std::vector<std::string>& names = columns.names;
    check(count == names.size() || (!columns.named_by_header && count > names.size()), ErrorKind::corrupt,
          "{}: {} fields where {} are expected", where, count, names.size());
    DataRow row{where, line, false, nlohmann::ordered_json::object()};
    auto& members = row.fields.get_ref<nlohmann::ordered_json::object_t&>();
    for (size_t i = 0; i < names.size(); ++i) {
      // Searching for the name first would take time quadratic in the number of columns; names are unique.
      if (!names[i].empty()) members.emplace_back(names[i], std::move(fields[i]));
    }
    return row;
  }

  void take_header(std::vector<std::string> names, const std::string& where) {
    std::vector<std::string> sorted = names;
    std::ranges::sort(sorted);
    const auto twice =
        std::ranges::adjacent_find(sorted, [](const auto& a, const auto& b) { return a == b && !a.empty(); });
    check(twice == sorted.end(), ErrorKind::invalid, "{}: two columns are called '{}'", where,
          twice == sorted.end() ? "" : *twice);
    columns_->names = std::move(names);
    columns_->named_by_header = true;
    needs_header_ = false;
  }

  csv_parser parser_{};
  const std::string& file_;
  std::shared_ptr<TableColumns> columns_ =
      std::make_shared<TableColumns>();  ///< rows are made after the reader's end
  bool needs_header_;
  const GiveRow& give_;
  std::vector<std::string> fields_;
  size_t field_count_ = 0;  ///< of the row so far, also those that are not kept
  int64_t line_ = 0, first_line_ = 0;
  bool in_row_ = false;
  std::exception_ptr error_;
};

}  // namespace

void read_table(TextWindow& window, const std::string& file, const TableFormat& format, const GiveRow& give) {
  Reader(file, format, give).read(window);
}

}  // namespace lowrank
