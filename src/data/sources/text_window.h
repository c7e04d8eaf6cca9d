#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lowrank {

/// The longest row of a data file, in bytes.
inline constexpr size_t max_row_bytes = 64 << 20;

/// Fills `into` (not empty) with the next bytes of a text and returns how many there were: fewer than fit
/// only at the end, 0 after it.
using ReadBytes = std::function<size_t(std::span<char> into)>;

/// The part of a text that is being read: all that is left of a mapped file, or as many bytes as are needed
/// of one that is unpacked on the way, so that memory does not grow with the text.
class TextWindow {
 public:
  /// A text in memory, which outlives all that is taken from it.
  explicit TextWindow(std::string_view whole) : rest_(whole) {}
  /// A text that is read piece by piece, the first piece now. Errors: those of `read`.
  explicit TextWindow(ReadBytes read) : read_(std::move(read)) { extend(); }

  /// What has been read and not been skipped.
  std::string_view rest() const { return rest_; }
  /// Reads more, at least doubling `rest()` unless the text ends; false if it has ended. Errors: those of
  /// reading; interrupted.
  bool extend();
  /// Whether `rest()` is all that is left.
  bool complete() const { return !read_; }
  void skip(size_t bytes) { rest_.remove_prefix(bytes); }

  /// Keeps the bytes of `rest()` alive, also when they have been skipped; null for a text in memory.
  std::shared_ptr<const char[]> owner() const { return block_; }

 private:
  ReadBytes read_ = nullptr;
  std::shared_ptr<const char[]> block_ = nullptr;
  std::string_view rest_;
};

/// Takes the next line from the window, with the newline that ends it; nothing at the end of the text.
/// `where` names the line in errors. Errors: as `extend`; corrupt for a line over `max_row_bytes` of a text
/// that is read piece by piece.
std::optional<std::string_view> next_line(TextWindow& window, const std::string& where);

}  // namespace lowrank
