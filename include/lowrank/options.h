#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank {

/// The value of an option.
class OptionValue {
 public:
  OptionValue(bool value) : json_(value ? "true" : "false") {}
  OptionValue(std::integral auto value) : json_(std::to_string(value)) {}
  OptionValue(double value);
  OptionValue(const char* text) : OptionValue(std::string_view(text)) {}
  OptionValue(const std::string& text) : OptionValue(std::string_view(text)) {}
  OptionValue(std::string_view text);
  OptionValue(const std::vector<std::string>& texts);

  /// From JSON text. Errors: invalid.
  static OptionValue from_json(std::string_view text);
  const std::string& json() const { return json_; }

 private:
  std::string json_;
};

/// Options by name: those of the program's commands (`lowrank train --help`), with underscores.
class Options {
 public:
  Options() = default;
  Options(std::initializer_list<std::pair<std::string, OptionValue>> values) : values_(values) {}

  /// From a JSON object. Errors: invalid.
  static Options from_json(std::string_view object);
  /// As one JSON object. Errors: invalid for a name that is given twice.
  std::string json() const;

  Options& set(std::string name, OptionValue value) {
    values_.emplace_back(std::move(name), std::move(value));
    return *this;
  }

 private:
  std::vector<std::pair<std::string, OptionValue>> values_;
};

}  // namespace lowrank
