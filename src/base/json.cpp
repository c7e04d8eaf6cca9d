#include "base/json.h"

#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mmap_file.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the library's tag, without
/// the line number if the text is a single line (JSONL lines have their own number) and, since it quotes the
/// text, made to fit on one line.
std::string reason_of(const nlohmann::json::exception& error, bool single_line) {
  std::string reason = error.what();
  const size_t tag = reason.find("] ");
  if (tag != std::string::npos) reason.erase(0, tag + 2);
  constexpr std::string_view line = "line 1, ";
  const size_t number = single_line ? reason.find(line) : std::string::npos;
  if (number != std::string::npos) reason.erase(number, line.size());
  return one_line(reason);
}

/// Builds the value from the parser's events and rejects what the library would accept: duplicate keys and
/// values beyond the limits. (Its own filter, a callback, scans the parent again at the end of every object:
/// quadratic time on large files.)
template <class Json>
class Builder {
 public:
  Builder(std::string_view where, JsonLimits limits, bool single_line)
      : where_(where), limits_(limits), single_line_(single_line) {}

  Json take() { return std::move(root_); }

  bool null() { return place(nullptr); }
  bool boolean(bool value) { return place(value); }
  bool number_integer(int64_t value) { return place(value); }
  bool number_unsigned(uint64_t value) { return place(value); }
  bool number_float(double value, const std::string& text) {
    if constexpr (std::is_same_v<Json, nlohmann::ordered_json>) {
      if (Json(value).dump() != text) return place(Json::binary({text.begin(), text.end()}));
    }
    return place(value);
  }
  bool string(std::string& value) { return place(std::move(value)); }
  bool binary(typename Json::binary_t&) { return false; }

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    const auto [entry, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) {
      fail(ErrorKind::corrupt, "{}: the key {} stands twice in one JSON object", where_, in_quotes(name));
    }
    check(std::ssize(*open_.back()) <= limits_.keys, ErrorKind::corrupt,
          "{}: a JSON object with more than {} keys", where_, limits_.keys);
    member_ = &*entry;
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) {
    fail(ErrorKind::corrupt, "{}: {}", where_, reason_of(error, single_line_));
  }

 private:
  bool place(Json value) {
    add(std::move(value));
    return true;
  }

  Json* add(Json value) {
    check(++values_ <= limits_.values, ErrorKind::corrupt, "{}: JSON with more than {} values", where_,
          limits_.values);
    if (!open_.empty() && open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    Json* slot = open_.empty() ? &root_ : member_;
    *slot = std::move(value);
    return slot;
  }

  bool open(Json value) {
    check(std::ssize(open_) < limits_.depth, ErrorKind::corrupt, "{}: JSON nested deeper than {} levels",
          where_, limits_.depth);
    open_.push_back(add(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view where_;
  JsonLimits limits_;
  bool single_line_;
  int64_t values_ = 0;
  Json root_;
  std::vector<Json*> open_;  ///< objects and arrays that are not closed yet, outermost first
  Json* member_ = nullptr;   ///< where the value of the last key goes
};

template <class Json>
Json parsed(std::string_view text, std::string_view where, JsonLimits limits) {
  check(!text.starts_with("\xEF\xBB\xBF"), ErrorKind::corrupt,
        "{}: line 1 starts with a byte order mark, which JSON forbids", where);
  // The library takes a zero byte as the end of the text and would ignore what follows.
  const size_t zero = text.find('\0');
  check(zero == std::string_view::npos, ErrorKind::corrupt, "{}: a zero byte at offset {}", where, zero);
  Builder<Json> builder(where, limits, text.find('\n') == std::string_view::npos);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  return parsed<nlohmann::json>(text, where, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view where, JsonLimits limits) {
  return parsed<nlohmann::ordered_json>(text, where, limits);
}

int64_t json_integer(const nlohmann::json& value, std::string_view key, std::string_view where) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
  check(fits, ErrorKind::corrupt, "{}: {} must be a whole number, not {}", where, key,
        one_line(json_text(value), 60));
  return value.get<int64_t>();
}

nlohmann::json read_json_file(const std::filesystem::path& path, int64_t max_bytes, JsonLimits limits) {
  const MmapFile file = MmapFile::open(path);
  const auto size = static_cast<int64_t>(file.bytes().size());
  check(size <= max_bytes, ErrorKind::corrupt, "{}: {} bytes, more than the {} that such a file may have",
        path.string(), size, max_bytes);
  return parse_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path.string(),
                    limits);
}

}  // namespace lowrank
