#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/sources/text_window.h"

namespace lowrank {

/// Cuts an array in JSON into the texts of its elements, which may be malformed: whoever parses one says so.
class ArrayElements {
 public:
  /// `window` stands before the array's bracket and outlives this. `file` names it in errors; elements may be
  /// nested `depth` levels deep.
  ArrayElements(TextWindow& window, std::string file, int depth)
      : window_(window), file_(std::move(file)), depth_(depth) {}

  /// The next element, without spaces around it; nothing after the last. Errors: as TextWindow::extend;
  /// corrupt for an array that does not close, text after it, nesting that is too deep, and an element over
  /// `max_row_bytes` of a text that is read piece by piece.
  std::optional<std::string_view> next();

 private:
  size_t element_end();
  void skip_spaces();
  void extend();
  void close();

  TextWindow& window_;
  std::string file_;
  int depth_;
  int64_t number_ = 0;  ///< of the element
};

}  // namespace lowrank
