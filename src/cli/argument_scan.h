#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// A value that the command line gives to an option.
struct GivenValue {
  std::string name;     ///< without dashes in front, as written; for a known option its field's name
  std::string text;     ///< the value
  std::string written;  ///< what gives it, as an error names it: "--rank" or "rank"
  const Field* field;   ///< nullptr: an option of that name is not known
};

/// The command line apart.
struct ScannedArguments {
  std::vector<GivenValue> values;
  std::vector<std::string> words;     ///< what belongs to no option
  std::vector<std::string> problems;  ///< flags without the value that they need, as sentences
  bool help = false;
};

/// A text option whose value may look like a flag: a prompt, for instance.
Field any_text(Field field);

/// A text option that stands for `value` where none follows it.
Field optional_text(Field field, std::string value);

/// A list of texts, each given by an option of its own: `--name A --name B`.
Field repeatable(Field field);
bool is_repeatable(const Field& field);

/// Takes the arguments apart by the known fields: `--name value`, `--name=value`, `--flag`, `--no-flag` and
/// `name=value`, dashes or underscores in names. The argument after a flag that takes a value is its value
/// whatever it is, but not another flag, except for `any_text`. A flag that is not known takes the next
/// argument with it unless that is a flag or a value for a known field. A word with `=` is no value where
/// `words_welcome` and its name is not known: a path may hold one.
ScannedArguments scan_arguments(std::span<const std::string> arguments, std::span<const Field> fields,
                                bool words_welcome);

}  // namespace lowrank
