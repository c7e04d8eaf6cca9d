#pragma once

#include "tokenizer/jinja/builtins/call.h"

namespace lowrank::jinja {

/// Python's `format % arguments` for %s %r %d %i %u %x %X %o %e %E %f %F %g %G %c and %%, with flags, width
/// and precision. Errors: invalid for wrong arguments; unsupported for other directives.
Text printf_format(const Text& format, const Value& arguments);

/// Python's format.format(arguments), for {} {0} {name} and {{ }} only. Errors: invalid for missing
/// arguments; unsupported for attributes, conversions and specifications.
Text brace_format(const Call& call);

}  // namespace lowrank::jinja
