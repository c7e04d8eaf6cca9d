#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// A value that the command line gives to an option.
struct GivenValue {
  std::string name;     ///< for a known option its field's name, else as written without leading dashes
  std::string text;     ///< the value
  std::string written;  ///< the option as errors name it: "--rank" or "rank"
  const Field* field;   ///< nullptr: no option of that name is known
};

/// The command line, split into its parts.
struct ScannedArguments {
  std::vector<GivenValue> values;
  std::vector<std::string> words;     ///< arguments that belong to no option
  std::vector<std::string> problems;  ///< flags that lack a value or take none, as sentences
  bool help = false;
};

/// The field that a key of a file, or of `name=value`, names: its own name, or another program's word (of
/// more than one letter) that means the same (peer_names.h). Null if there is none.
const Field* field_of_key(std::span<const Field> fields, std::string_view key);

/// Splits the arguments by the known fields: `--name value`, `--name=value`, `--flag`, `--no-flag` and
/// `name=value`, with dashes or underscores in names. Names of other programs that mean the same
/// (peer_names.h) set our fields. The argument after a flag that takes a value is its
/// value, unless it is another flag (which only `any_text` accepts). An unknown flag, or one of
/// `optional_text`, takes the next argument unless that is a flag or gives a value to a known field. With
/// `words_welcome`, a word with `=` whose name is unknown is no value, since a path may contain one.
ScannedArguments scan_arguments(std::span<const std::string> arguments, std::span<const Field> fields,
                                bool words_welcome);

}  // namespace lowrank
