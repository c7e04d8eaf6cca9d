#include "base/json.h"

#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/mmap_file.h"

namespace lowrank {
namespace {

/// Follows the parser's events only to refuse what nlohmann::json would accept.
class Guard {
 public:
  Guard(std::string_view where, int max_depth) : where_(where), max_depth_(max_depth) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    check(depth <= max_depth_, ErrorKind::corrupt, "{}: JSON nested deeper than {} levels", where_,
          max_depth_);
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      check(keys_.back().insert(key).second, ErrorKind::corrupt,
            "{}: the key \"{}\" stands twice in one JSON object", where_, key);
    }
    return true;
  }

 private:
  std::string_view where_;
  int max_depth_;
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where, int max_depth) {
  check(!text.starts_with("\xEF\xBB\xBF"), ErrorKind::corrupt,
        "{}: starts with a byte order mark, which JSON forbids", where);
  try {
    return nlohmann::json::parse(text.begin(), text.end(), Guard(where, max_depth));
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the library's tag.
    std::string_view reason = error.what();
    const size_t tag = reason.find("] ");
    if (tag != std::string_view::npos) reason.remove_prefix(tag + 2);
    fail(ErrorKind::corrupt, "{}: {}", where, reason);
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path, int64_t max_bytes) {
  const MmapFile file = MmapFile::open(path);
  const auto size = static_cast<int64_t>(file.bytes().size());
  check(size <= max_bytes, ErrorKind::corrupt, "{}: {} bytes, more than the {} that such a file may have",
        path.string(), size, max_bytes);
  return parse_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path.string());
}

}  // namespace lowrank
