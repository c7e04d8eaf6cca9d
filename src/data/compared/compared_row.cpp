#include "data/compared/compared_row.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

/// Collects a row's texts and all that is wrong with them.
class TextReader {
 public:
  TextReader(const Json& row, const std::string& where) : row_(row), where_(where) {}

  void required(const char* key) {
    const auto found = row_.find(key);
    if (found == row_.end() || found->is_null())
      problems_.push_back(fmt::format("there is no \"{}\"", key));
    else
      add(fmt::format("\"{}\"", key), *found);
  }

  /// A text or a list of texts; null and a missing field are none.
  void any_number(const std::string& key) {
    const auto found = row_.find(key);
    if (found == row_.end() || found->is_null()) return;
    if (!found->is_array()) return add(fmt::format("\"{}\"", key), *found);
    for (size_t i = 0; i < found->size(); ++i) add(fmt::format("text {} of \"{}\"", i + 1, key), (*found)[i]);
  }

  void score() {
    for (const char* key : {"score", "label"}) {
      const auto found = row_.find(key);
      if (found == row_.end() || found->is_null()) continue;
      const std::optional<double> value = number(*found);
      if (!value || !(std::abs(*value) <= 1))
        problems_.push_back(
            fmt::format("\"{}\" must be a number from -1 to 1, not {}", key, one_line(shown(*found), 40)));
      else
        result_.score = value;
      return;
    }
    problems_.emplace_back("there is no \"score\"");
  }

  /// Errors: invalid, with all problems.
  ComparedRow result() {
    check(problems_.empty(), ErrorKind::invalid, "{}: {}", where_, fmt::join(problems_, "; "));
    return std::move(result_);
  }

 private:
  void add(const std::string& name, const Json& value) {
    if (!value.is_string()) {
      problems_.push_back(
          fmt::format("{} must be a text, not {}", name, value.is_binary() ? "a number" : value.type_name()));
      return;
    }
    const auto& text = value.get_ref<const std::string&>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
      problems_.push_back(fmt::format("{} is empty", name));
    result_.texts.push_back(text);
  }

  /// A number, or text that is one, as tables have it.
  static std::optional<double> number(const Json& value) {
    if (value.is_number()) return value.get<double>();
    const std::string text = shown(value);
    double found = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found);
    const bool whole = error == std::errc() && end == text.data() + text.size() && !value.is_boolean();
    return whole ? std::optional(found) : std::nullopt;
  }

  /// Numbers that JSON keeps as they are written stand in binary values.
  static std::string shown(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_binary()) return {value.get_binary().begin(), value.get_binary().end()};
    return value.dump(-1, ' ', true, Json::error_handler_t::replace);
  }

  const Json& row_;
  const std::string& where_;
  ComparedRow result_;
  std::vector<std::string> problems_;
};

/// The keys negative_1, negative_2, ... that the row has, by number.
std::map<int64_t, std::string> numbered_negatives(const Json& row) {
  constexpr std::string_view start = "negative_";
  std::map<int64_t, std::string> found;
  for (const auto& [key, value] : row.items()) {
    int64_t number = 0;
    if (!key.starts_with(start)) continue;
    const auto [end, error] = std::from_chars(key.data() + start.size(), key.data() + key.size(), number);
    if (error == std::errc() && end == key.data() + key.size()) found[number] = key;
  }
  return found;
}

}  // namespace

ComparedRow read_pair(const Json& row, const std::string& where) {
  TextReader read(row, where);
  read.required("anchor");
  read.required("positive");
  read.any_number("negative");
  read.any_number("negatives");
  for (const auto& [number, key] : numbered_negatives(row)) read.any_number(key);
  return read.result();
}

ComparedRow read_scored(const Json& row, const std::string& where) {
  check(
      row.contains("sentence1") || row.contains("sentence2"), ErrorKind::invalid,
      "{}: rows that train embeddings have \"anchor\" and \"positive\", or \"sentence1\", \"sentence2\" and "
      "\"score\"; `columns` anchor=NAME,positive=NAME gives others these names",
      where);
  TextReader read(row, where);
  read.required("sentence1");
  read.required("sentence2");
  read.score();
  return read.result();
}

}  // namespace lowrank
