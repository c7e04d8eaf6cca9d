#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank::metrics {

/// The words of a text, held as one string with a space between two of them.
class Words {
 public:
  /// Splits at white space, as Python's str.split().
  static Words of(std::string_view text);
  /// Splits at each space, as Python's str.split(" "): two spaces have an empty word between them, and an
  /// empty text is one empty word.
  static Words at_each_space(std::string_view text);

  void add(std::string_view word);

  size_t size() const { return begins_.size(); }
  bool empty() const { return begins_.empty(); }
  std::string_view operator[](size_t word) const { return run(word, 1); }
  /// `count` words from `first` on, with the spaces between them; a view of this object.
  std::string_view run(size_t first, size_t count) const;
  std::string_view text() const { return text_; }

 private:
  std::string text_;
  std::vector<size_t> begins_;  // of each word in text_
};

}  // namespace lowrank::metrics
