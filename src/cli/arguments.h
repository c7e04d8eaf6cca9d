#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// The arguments of one command: fields as flags (`--batch-size 8`, `--no-shuffle`), a YAML file with the
/// same names
/// (--config), and `key=value`; flags win over key=value, key=value over the file.
class Arguments {
 public:
  Arguments(std::string_view command, std::string_view summary);

  /// Adds fields; they must outlive the parse.
  void add(std::vector<Field> fields);

  /// What to add once the value of a field is known (the options of the chosen method). `known` gets the text
  /// that the arguments or the file give to `name`, or an empty one.
  void add_later(std::string name, std::function<std::vector<Field>(const std::string& known)> known);

  /// Sets all fields. Returns false when help was asked for and printed. Errors: invalid, everything wrong at
  /// once.
  bool parse(const std::vector<std::string>& arguments);

  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::string command_, summary_;
  std::vector<Field> fields_;
  std::map<std::string, std::function<std::vector<Field>(const std::string&)>> later_;
};

/// Fails with the flags' names when one of these texts is empty.
void require(const std::vector<std::pair<std::string_view, const std::string*>>& flags);

}  // namespace lowrank
