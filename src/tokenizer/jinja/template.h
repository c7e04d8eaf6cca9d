#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/jinja/rendering.h"
#include "tokenizer/jinja/values/calendar_time.h"

namespace lowrank::jinja {

struct Program;

/// A variable of a template. `messages` says that the value is the array of messages whose iterations and
/// origins are reported.
struct Variable {
  std::string name;
  const nlohmann::ordered_json* value = nullptr;  ///< outlives the call of render
  bool messages = false;
};

/// A template of Jinja 2.1 in the dialect of transformers' chat templates (`trim_blocks`, `lstrip_blocks`,
/// `break` and `continue`, {% generation %}, its sandbox). Compiled once; render may be called by several
/// threads at once.
class Template {
 public:
  /// Errors: corrupt, "chat template NAME, line L, column C: ...", for a syntax error, an unknown filter or
  /// test; unsupported for what is left out of the language.
  Template(std::string source, std::string name);

  /// The output for these variables; a later one of the same name wins. `steps` bounds the work, to which 100
  /// steps per byte of the variables are added. Errors: invalid, with line and column, when an operation
  /// fails or a limit is exceeded.
  Rendering render(const std::vector<Variable>& variables, const CalendarTime& now,
                   int64_t steps = default_steps) const;

  static constexpr int64_t default_steps = 10'000'000;  ///< a second or two

  bool has_generation_blocks() const;
  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }

 private:
  std::string source_, name_;
  std::shared_ptr<const Program> program_;
};

}  // namespace lowrank::jinja
