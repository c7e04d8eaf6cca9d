#include "cli/yaml.h"

#include <string>

#include <yaml-cpp/yaml.h>

#include "base/error.h"
#include "base/mmap_file.h"

namespace lowrank {
namespace {

constexpr int max_depth = 16;
constexpr size_t max_bytes = 1 << 20;

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

nlohmann::json to_json(const YAML::Node& node, int depth, const std::string& where) {
  check(depth <= max_depth, ErrorKind::invalid, "{}: nested deeper than {} levels", where, max_depth);
  if (node.IsScalar()) return scalar(node);
  nlohmann::json json;
  if (node.IsSequence()) {
    json = nlohmann::json::array();
    for (const YAML::Node& entry : node) json.push_back(to_json(entry, depth + 1, where));
  } else if (node.IsMap()) {
    json = nlohmann::json::object();
    for (const auto& entry : node) json[entry.first.Scalar()] = to_json(entry.second, depth + 1, where);
  }
  return json;
}

}  // namespace

nlohmann::json read_yaml(const std::filesystem::path& path) {
  const MmapFile file = MmapFile::open(path);
  check(file.bytes().size() <= max_bytes, ErrorKind::invalid, "{}: larger than {} bytes", path.string(),
        max_bytes);
  try {
    const std::string text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    nlohmann::json json = to_json(YAML::Load(text), 0, path.string());
    check(json.is_object(), ErrorKind::invalid, "{}: not a mapping of names to values", path.string());
    return json;
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::corrupt, "{}:{}: {}", path.string(), error.mark.line + 1, error.msg);
  }
}

}  // namespace lowrank
