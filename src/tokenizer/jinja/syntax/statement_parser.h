#pragma once

#include <string_view>

#include "tokenizer/jinja/syntax/program.h"

namespace lowrank::jinja {

/// Parses a normalised source. Throws SyntaxProblem.
Program parse_program(std::string source);

}  // namespace lowrank::jinja
