#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "tokenizer/jinja/values/heap.h"

namespace lowrank::jinja {

/// Where a piece of text came from.
struct Mark {
  int32_t origin = -1;     ///< index of the message, -1: the template or other data
  int32_t generation = 0;  ///< number of the {% generation %} block it was written in, 0: none
  bool operator==(const Mark&) const = default;
};

/// A stretch of a text with one mark.
struct Run {
  int64_t bytes = 0;
  Mark mark;
};

/// UTF-8 whose pieces know where they came from. A text with a single mark, as nearly all have, takes no more
/// than its bytes. Every operation carries the marks along.
class Text {
 public:
  explicit Text(Heap& heap) : bytes_(heap), runs_(heap) {}
  Text(Heap& heap, std::string_view bytes, Mark mark = {}) : Text(heap) { append(bytes, mark); }

  Heap& heap() const { return bytes_.get_allocator().heap(); }
  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  /// Errors: invalid when the text becomes longer than the limit.
  void append(std::string_view bytes, Mark mark = {});
  void append(const Text& other) { append(other, 0, other.size()); }
  /// Appends the bytes [begin, end) of another text.
  void append(const Text& other, size_t begin, size_t end);

  /// The bytes [begin, end).
  Text slice(size_t begin, size_t end) const;

  /// The mark of the byte at `offset`, or of the last one; of an empty text, none.
  Mark mark_at(size_t offset) const;

  /// Gives the pieces that are in no {% generation %} block this number.
  void set_generation(int32_t generation);

  /// Calls `visit(begin, end, mark)` for the stretches of [begin, end) with one mark.
  template <class Visit>
  void each_run(size_t begin, size_t end, Visit visit) const {
    if (runs_.empty()) {
      if (begin < end) visit(begin, end, mark_);
      return;
    }
    size_t at = 0;
    for (const Run& run : runs_) {
      const size_t from = std::max(at, begin), to = std::min(at + static_cast<size_t>(run.bytes), end);
      if (from < to) visit(from, to, run.mark);
      at += static_cast<size_t>(run.bytes);
      if (at >= end) return;
    }
  }

  /// Whether all bytes are ASCII.
  bool ascii() const;
  /// Number of characters (code points).
  int64_t length() const;
  /// Offset of the character number `index`, which is at most length().
  size_t offset_of(int64_t index) const;

  bool markup = false;  ///< Python's Markup: made by `safe`

 private:
  void room_for(size_t bytes);
  void add_run(size_t bytes, Mark mark);

  String bytes_;
  Mark mark_;                                         ///< of all bytes if runs_ is empty
  Array<Run> runs_;                                   ///< cover the bytes, or empty
  mutable int64_t length_ = -1;                       ///< characters, once counted
  mutable int64_t near_index_ = 0, near_offset_ = 0;  ///< a character whose offset is known
};

}  // namespace lowrank::jinja
