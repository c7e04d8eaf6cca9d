#include "tokenizer/jinja/template.h"

#include <fmt/format.h>

#include "base/error.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/syntax/lexer.h"
#include "tokenizer/jinja/syntax/statement_parser.h"
#include "tokenizer/jinja/values/json_values.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank::jinja {
namespace {

constexpr size_t most_source_bytes = size_t{1} << 20;
constexpr size_t most_message_bytes = 4000;  // of what a template raises

std::string place(std::string_view name, std::string_view source, size_t offset) {
  const Position position = position_of(source, offset);
  return fmt::format("chat template {}, line {}, column {}", name, position.line, position.column);
}

/// About the bytes of the JSON text, to which the limits of a render grow in proportion.
int64_t size_of(const nlohmann::ordered_json& json) {
  int64_t size = 4;
  if (json.is_string()) size += static_cast<int64_t>(json.get_ref<const std::string&>().size());
  if (json.is_array()) {
    for (const auto& item : json) size += size_of(item);
  }
  if (json.is_object()) {
    for (const auto& [key, item] : json.items()) size += static_cast<int64_t>(key.size()) + size_of(item);
  }
  return size;
}

Limits limits_for(const std::vector<Variable>& variables, int64_t steps) {
  Limits limits;
  limits.steps = steps;
  int64_t input = 0;
  for (const Variable& variable : variables) input += size_of(*variable.value);
  limits.steps += 100 * input;
  limits.output_bytes += 16 * input;
  return limits;
}

[[noreturn]] void throw_at(const std::string& where, const Error& error) {
  const std::string_view message = error.what();
  const std::string_view shown = message.substr(0, complete_prefix(message.substr(0, most_message_bytes)));
  throw_reworded(error, fmt::format("{}: {}{}", where, shown, shown.size() < message.size() ? "…" : ""));
}

}  // namespace

Template::Template(std::string source, std::string name)
    : source_(std::move(source)), name_(std::move(name)) {
  check(source_.size() <= most_source_bytes, ErrorKind::corrupt,
        "chat template {}: {} bytes, more than the {} that a template may have", name_, source_.size(),
        most_source_bytes);
  const auto malformed = first_malformed(source_);
  check(!malformed, ErrorKind::corrupt, "chat template {}: not UTF-8 at byte {}", name_,
        malformed.value_or(0));
  const std::string normalised = normalised_source(source_);
  try {
    program_ = std::make_shared<const Program>(parse_program(normalised));
  } catch (const SyntaxProblem& problem) {
    fail(problem.unsupported ? ErrorKind::unsupported : ErrorKind::corrupt, "{}: {}",
         place(name_, normalised, problem.offset), problem.message);
  }
}

bool Template::has_generation_blocks() const {
  return program_->generation_blocks;
}

Rendering Template::render(const std::vector<Variable>& variables, const CalendarTime& now,
                           int64_t steps) const {
  Heap heap(limits_for(variables, steps));
  std::unique_ptr<Evaluator> evaluator;
  try {
    evaluator = std::make_unique<Evaluator>(*program_, heap, now);
    for (const Variable& variable : variables) {
      if (!program_->symbol_numbers.contains(variable.name)) continue;
      evaluator->set_variable(variable.name, variable.messages ? messages_of(heap, *variable.value)
                                                               : value_of(heap, *variable.value, -1));
    }
  } catch (const Error& error) {
    throw_at(fmt::format("chat template {}", name_), error);
  }
  try {
    return evaluator->run();
  } catch (const Error& error) {
    throw_at(place(name_, program_->source, evaluator->offset()), error);
  }
}

}  // namespace lowrank::jinja
