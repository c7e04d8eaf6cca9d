#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "cli/argument_scan.h"

namespace lowrank {

/// The arguments of one command: fields as flags (`--batch-size 8`, `--no-shuffle`) or `key=value`, which
/// override a YAML file with the same names (--config).
class Arguments {
 public:
  Arguments(std::string_view command, std::string_view summary);

  /// Adds fields; they must outlive the parse.
  void add(std::vector<Field> fields);

  /// Names the field, one of those added, that a word without a flag sets.
  void add_positional(std::string name) { positional_ = std::move(name); }

  /// Adds fields once the value of the field `name` is known (the options of the chosen method). `known` gets
  /// the text that the arguments or the file give for `name`, or an empty one; calls are in the order of
  /// adding. `others` are the names of the fields that other values would add, for errors.
  void add_later(std::string name, std::function<std::vector<Field>(const std::string& known)> known,
                 std::set<std::string> others = {});

  /// Sets all fields. Returns false when help was asked for and printed. Errors: invalid, listing all
  /// problems at once, including unknown options and options given twice.
  bool parse(const std::vector<std::string>& arguments);

  const std::vector<Field>& fields() const { return fields_; }

  /// Names of the fields that the arguments or the file set.
  const std::set<std::string>& given() const { return given_; }

 private:
  struct Later {
    std::string name;
    std::function<std::vector<Field>(const std::string&)> known;
    std::set<std::string> others;
    std::string value;  ///< what the arguments or the file give for `name`; may be empty
  };

  std::string look_ahead(const std::vector<std::string>& arguments, const nlohmann::json& file,
                         const std::string& name) const;
  std::string hint_for(std::string_view name, bool as_flag) const;
  void take_file(const nlohmann::json& file, const std::string& path);
  void take_values(const ScannedArguments& scanned);
  void set(const Field& field, const nlohmann::json& value);
  void print_help() const;

  std::string command_, summary_, positional_, config_;
  std::vector<Field> fields_;
  std::vector<Later> later_;
  std::set<std::string> given_;
  std::vector<std::string> problems_;
};

/// Whichever of two texts is given, for `require` when one of them must be.
inline const std::string* either(const std::string& one, const std::string& other) {
  return one.empty() ? &other : &one;
}

/// Fails with the flags' names when one of these texts is empty; with not_found when nothing exists at the
/// path given by --model or --adapter.
void require(const std::vector<std::pair<std::string_view, const std::string*>>& flags);

}  // namespace lowrank
