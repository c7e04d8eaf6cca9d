#pragma once

#include <string>
#include <string_view>

namespace lowrank {

/// A text of the library as the command line shows it: each option, a single word in backticks
/// (`max_length`), becomes its flag (--max-length).
std::string with_flags(std::string_view text);

}  // namespace lowrank
