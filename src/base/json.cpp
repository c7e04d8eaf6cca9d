#include "base/json.h"

#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/mmap_file.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// Follows the parser's events only to refuse what nlohmann::json would accept.
class Guard {
 public:
  Guard(std::string_view where, JsonLimits limits) : where_(where), limits_(limits) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    check(!opens || depth < limits_.depth, ErrorKind::corrupt, "{}: JSON nested deeper than {} levels",
          where_, limits_.depth);
    if (opens || event == Event::value) ++values_;
    check(values_ <= limits_.values, ErrorKind::corrupt, "{}: JSON with more than {} values", where_,
          limits_.values);
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      check(keys_.back().insert(key).second, ErrorKind::corrupt,
            "{}: the key {} stands twice in one JSON object", where_, in_quotes(key));
    }
    return true;
  }

 private:
  std::string_view where_;
  JsonLimits limits_;
  int64_t values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

/// "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the library's tag and,
/// since it quotes the text, without what does not fit on a line.
std::string reason_of(const nlohmann::json::exception& error) {
  std::string_view reason = error.what();
  const size_t tag = reason.find("] ");
  if (tag != std::string_view::npos) reason.remove_prefix(tag + 2);
  return one_line(reason);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  check(!text.starts_with("\xEF\xBB\xBF"), ErrorKind::corrupt,
        "{}: line 1 starts with a byte order mark, which JSON forbids", where);
  // The library takes a zero byte for the end of the text and would not look at what follows.
  const size_t zero = text.find('\0');
  check(zero == std::string_view::npos, ErrorKind::corrupt, "{}: a zero byte at offset {}", where, zero);
  try {
    return nlohmann::json::parse(text.begin(), text.end(), Guard(where, limits));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::corrupt, "{}: {}", where, reason_of(error));
  }
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
