#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "cli/argument_scan.h"

namespace lowrank {

/// An option as help, completions and the manual show it.
struct OptionDescription {
  std::string name;      ///< snake_case, as in files
  std::string type;      ///< "integer"; for a switch "true or false"
  std::string fallback;  ///< the default as JSON; empty: none
  std::string help;
  std::string group;  ///< heading in the help

  bool is_switch() const { return type == "true or false"; }
};

/// A command as help, completions and the manual show it.
struct CommandDescription {
  std::string name, summary, example;
  std::vector<OptionDescription> options;
  std::vector<std::string> words;  ///< names of sub-commands
  std::string positional;          ///< the option that a word without a flag sets; may be empty
};

/// The arguments of one command: fields as flags (`--batch-size 8`, `--no-shuffle`) or `key=value`, which
/// override a YAML file with the same names (--config).
class Arguments {
 public:
  /// `summary`: what the command does, for help.
  Arguments(std::string_view command, std::string_view summary, std::vector<std::string> given);

  /// Arguments that only find out what a command takes: `parse` and `enter` end it.
  static Arguments describing(std::string_view command, std::string_view summary);

  /// An example of a call, for help.
  void set_example(std::string example) { description_.example = std::move(example); }

  /// For a command of several: goes on to the one that the first word names, or prints the list (then
  /// nothing); with `lists` also when there is no word. `names` have their summaries, which replace the
  /// command's. Errors: invalid, with the nearest name.
  std::optional<std::string> enter(const std::vector<std::pair<std::string, std::string>>& names,
                                   bool lists = false);

  /// Adds fields, under a heading of the help; they must outlive the parse.
  void add(std::vector<Field> fields, const std::string& group = "Options");

  /// Names the field, one of those added, that a word without a flag sets; a repeatable one takes all words.
  void add_positional(std::string name) { positional_ = std::move(name); }

  /// Adds fields once the value of the field `name` is known (the options of the chosen method). `known` gets
  /// the text that the arguments or the file give for `name`, or an empty one; calls are in the order of
  /// adding. `others` are the names of the fields that other values would add, for errors.
  void add_later(std::string name, std::function<std::vector<Field>(const std::string& known)> known,
                 std::set<std::string> others = {});

  /// Sets all fields. Returns false when help was asked for and printed. Errors: invalid, listing all
  /// problems at once, including unknown options and options given twice.
  bool parse();

  /// What was declared up to `parse`.
  const CommandDescription& description() const { return description_; }

  const std::vector<Field>& fields() const { return fields_; }

  /// Names of the fields that the arguments or the file set.
  const std::set<std::string>& given() const { return given_; }

 private:
  struct Later {
    std::string name;
    std::function<std::vector<Field>(const std::string&)> known;
    std::set<std::string> others;
    std::string value = {};  ///< what the arguments or the file give for `name`; may be empty
  };

  std::string look_ahead(const nlohmann::json& file, const std::string& name) const;
  std::string hint_for(std::string_view name, bool as_flag) const;
  void take_file(const nlohmann::json& file, const std::string& path);
  void take_values(const ScannedArguments& scanned);
  /// `written`: the field's name as the user gave it, for errors.
  void set(const Field& field, const nlohmann::json& value, std::string_view written);
  void complete_description();
  void print_help() const;

  CommandDescription description_;
  std::vector<std::string> arguments_;
  bool describing_ = false;
  std::string positional_, config_;
  std::vector<Field> fields_;
  std::map<std::string, std::string> groups_;  ///< by field name
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
