#pragma once

#include <memory>
#include <optional>
#include <string>

namespace lowrank {

/// Lines that a person types, or that another program writes, to standard input. At a terminal the line can
/// be edited and earlier lines come back (kept in memory only); Ctrl-C empties the line.
class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// Whether a person types at a terminal.
  bool at_terminal() const { return editor_ != nullptr; }

  /// The next line without its end; nothing at the end of the input (Ctrl-D). `prompt` is shown at a terminal
  /// only. Errors: interrupted, by a signal; invalid for a line of more than 1 MiB or one that is not UTF-8.
  std::optional<std::string> read(const std::string& prompt);

 private:
  struct Editor;

  std::optional<std::string> read_plain();

  std::unique_ptr<Editor> editor_;
};

}  // namespace lowrank
