#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lowrank::jinja {

/// A range of bytes of an output.
struct Span {
  int64_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

/// A range of the output whose bytes come from one message, or from the template and other data (-1).
struct OriginSpan {
  int64_t begin = 0, end = 0;
  int message = -1;
  bool operator==(const OriginSpan&) const = default;
};

/// One iteration of a `for` that treated one message: its variable was the message, or the message was read
/// as `messages[i]` with the loop's variable (or `loop.index0`) as index.
struct Iteration {
  int message = 0;  ///< index among the messages
  int64_t begin = 0,
          end = 0;        ///< length of the output at the start and at the end of the iteration, in bytes
  int depth = 0;          ///< loops around it
  bool buffered = false;  ///< inside a macro or block that builds a string: the range says only where
                          ///< the output stood, the origins say where the text went
  bool operator==(const Iteration&) const = default;
};

/// What a template made of its inputs.
struct Rendering {
  std::string text;                   ///< UTF-8
  std::vector<Span> spans;            ///< what {% generation %} blocks wrote, in the order of the text
  std::vector<Iteration> iterations;  ///< in the order in which they began
  std::vector<OriginSpan> origins;    ///< cover the text without gaps
};

}  // namespace lowrank::jinja
