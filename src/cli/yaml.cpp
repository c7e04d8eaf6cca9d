#include "cli/yaml.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "base/error.h"
#include "base/mmap_file.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

constexpr int max_depth = 16;
constexpr size_t max_bytes = 1 << 20;
constexpr int64_t max_nodes = 100'000;
constexpr size_t max_text = 16 << 20;

nlohmann::json scalar(const YAML::Node& node) {
  // A quoted scalar has the tag "!": it is text whatever it looks like.
  if (node.Tag() == "!") return node.Scalar();
  bool flag = false;
  int64_t whole = 0;
  double real = 0;
  if (YAML::convert<int64_t>::decode(node, whole)) return whole;
  if (YAML::convert<double>::decode(node, real)) return real;
  if (YAML::convert<bool>::decode(node, flag)) return flag;
  return node.Scalar();
}

/// Numbers by name (patterns) as a list of pairs: their order matters, and an object would lose it.
nlohmann::json pairs_in_order(const std::vector<std::string>& keys, const nlohmann::json& numbers) {
  nlohmann::json pairs = nlohmann::json::array();
  for (const std::string& key : keys) pairs.push_back(nlohmann::json::array({key, numbers.at(key)}));
  return pairs;
}

/// Builds the JSON and counts what it builds: an alias takes a few bytes in the file, but is expanded here.
class Converter {
 public:
  explicit Converter(std::string where) : where_(std::move(where)) {}

  nlohmann::json convert(const YAML::Node& node, int depth = 0) {
    check(depth <= max_depth, ErrorKind::invalid, "{}: nested deeper than {} levels", where_, max_depth);
    check(++nodes_ <= max_nodes, ErrorKind::invalid, "{}: more than {} values, aliases expanded", where_,
          max_nodes);
    if (node.IsScalar()) {
      count_bytes(node.Scalar());
      return scalar(node);
    }
    nlohmann::json json;
    if (node.IsSequence()) {
      json = nlohmann::json::array();
      for (const YAML::Node& entry : node) json.push_back(convert(entry, depth + 1));
    } else if (node.IsMap()) {
      json = nlohmann::json::object();
      std::vector<std::string> keys;
      for (const auto& entry : node) {
        check(entry.first.IsScalar(), ErrorKind::invalid, "{}:{}: a key that is no text", where_,
              entry.first.Mark().line + 1);
        const std::string& key = entry.first.Scalar();
        count_bytes(key);
        check(!json.contains(key), ErrorKind::invalid, "{}:{}: the key {} stands twice", where_,
              entry.first.Mark().line + 1, in_quotes(key));
        json[key] = convert(entry.second, depth + 1);
        keys.push_back(key);
      }
      const bool numbers = depth > 0 && std::ranges::all_of(json, &nlohmann::json::is_number);
      if (numbers && !std::ranges::is_sorted(keys)) json = pairs_in_order(keys, json);
    }
    return json;
  }

 private:
  void count_bytes(const std::string& text) {
    bytes_ += text.size();
    check(bytes_ <= max_text, ErrorKind::invalid, "{}: more than {} bytes of text, aliases expanded", where_,
          max_text);
  }

  std::string where_;
  int64_t nodes_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

nlohmann::json read_yaml(const std::filesystem::path& path) {
  const MmapFile file = MmapFile::open(path);
  check(file.bytes().size() <= max_bytes, ErrorKind::invalid, "{}: larger than {} bytes", path.string(),
        max_bytes);
  try {
    const std::string text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    nlohmann::json json = Converter(path.string()).convert(YAML::Load(text));
    check(json.is_object(), ErrorKind::invalid, "{}: not a mapping of names to values", path.string());
    return json;
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::corrupt, "{}:{}: {}", path.string(), error.mark.line + 1, error.msg);
  }
}

}  // namespace lowrank
