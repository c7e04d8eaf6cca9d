#include "data/table_reader.h"

#include <algorithm>
#include <csv.h>
#include <memory>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr size_t max_columns = 1000;

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

  void read(std::string_view text) {
    const size_t zero = text.find('\0');
    check(zero == std::string_view::npos, ErrorKind::corrupt, "{}: a zero byte at offset {}", file_, zero);
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
      ++line_;
      if (!in_row_) first_line_ = line_;
      in_row_ = true;
      const size_t parsed = csv_parse(&parser_, text.data(), end, on_field, on_row, this);
      rethrow();
      check(
          parsed == end, ErrorKind::corrupt,
          "{}:{}: a quotation mark within a field (at byte {}); write the whole field in quotation marks and "
          "those within it twice (\"5\"\" disk\"), or save the table as .tsv, where they are plain text",
          file_, line_, parsed + 1);
      text.remove_prefix(end);
    }
    const int result = csv_fini(&parser_, on_field, on_row, this);
    rethrow();
    check(result == 0, ErrorKind::corrupt, "{}:{}: a quotation mark that does not close", file_, first_line_);
  }

 private:
  // C code calls these: exceptions must not pass through it.
  static void on_field(void* field, size_t size, void* self) {
    auto* reader = static_cast<Reader*>(self);
    if (!reader->error_) reader->fields_.emplace_back(static_cast<const char*>(field), size);
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
    std::string where = fmt::format("{}:{}", file_, first_line_);
    std::vector<std::string> fields = std::move(fields_);
    fields_.clear();
    if (needs_header_) return take_header(std::move(fields), where);
    size_t bytes = 0;
    for (const std::string& field : fields) bytes += field.size();
    give_(
        where, first_line_,
        [columns = columns_, where, line = first_line_, fields = std::move(fields)]() mutable {
          return row_of(*columns, where, line, fields);
        },
        bytes);
  }

  static DataRow row_of(const TableColumns& columns, const std::string& where, int64_t line,
                        std::vector<std::string>& fields) {
    const std::vector<std::string>& names = columns.names;
    check(fields.size() == names.size() || (!columns.named_by_header && fields.size() > names.size()),
          ErrorKind::corrupt, "{}: {} fields where {} are expected", where, fields.size(), names.size());
    DataRow row{where, line, false, nlohmann::ordered_json::object()};
    auto& members = row.fields.get_ref<nlohmann::ordered_json::object_t&>();
    for (size_t i = 0; i < names.size(); ++i) {
      // Searching for the name first would take time quadratic in the number of columns; names are unique.
      if (!names[i].empty()) members.emplace_back(names[i], std::move(fields[i]));
    }
    return row;
  }

  void take_header(std::vector<std::string> names, const std::string& where) {
    check(names.size() <= max_columns, ErrorKind::corrupt, "{}: {} columns, more than {}", where,
          names.size(), max_columns);
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
  int64_t line_ = 0, first_line_ = 0;
  bool in_row_ = false;
  std::exception_ptr error_;
};

}  // namespace

void read_table(std::string_view text, const std::string& file, const TableFormat& format,
                const GiveRow& give) {
  Reader(file, format, give).read(text);
}

}  // namespace lowrank
