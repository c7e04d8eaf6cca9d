#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// SentencePiece's precompiled map of characters (Kudo and Richardson 2018, arXiv 1808.06226): texts and what
/// replaces each. In bytes: the size of a trie (u32), the trie, the replacements, each ended by a zero byte.
/// The trie is a double array (Aoe 1989) of u32 units, as Darts-clone writes it; all numbers little-endian.
class Charsmap {
 public:
  /// Errors: corrupt, with the offset, where the trie leads out of itself, a replacement is not in the bytes,
  /// or the replacements are not UTF-8; `where` names the file.
  Charsmap(std::string bytes, const std::string& where);

  /// What replaces the shortest text in the map with which `text` begins; nothing if there is none.
  std::optional<std::string_view> find(std::string_view text) const;

  /// The map as it was given.
  const std::string& bytes() const { return bytes_; }

 private:
  uint32_t unit(size_t index) const;
  std::string_view replacements() const;
  void check_replacements(const std::string& where) const;
  void check_trie(const std::string& where) const;
  void check_value(size_t leaf, const std::string& where) const;

  std::string bytes_;
  size_t units_ = 0;  ///< of the trie
};

}  // namespace lowrank
