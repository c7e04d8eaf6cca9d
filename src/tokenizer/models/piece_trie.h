#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// Finds all tokens with which a text begins.
class PieceTrie {
 public:
  /// `pieces` by id; empty ones do not exist. If two are equal, the last one counts.
  explicit PieceTrie(const std::vector<std::string>& pieces);

  /// Calls `visit` with the length in bytes and the id of each piece that `text` begins with, the shortest
  /// first. Time: the length of the longest text that begins like a piece.
  template <typename Visit>
  void each_prefix(std::string_view text, Visit visit) const {
    const Node* node = nodes_.data();
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(*node, static_cast<uint8_t>(text[i]));
      if (!node) return;
      if (node->id >= 0) visit(i + 1, node->id);
    }
  }

  /// The id of a piece; -1: there is none.
  int32_t find(std::string_view piece) const;

  size_t longest() const { return longest_; }  ///< bytes of the longest piece

 private:
  struct Node {
    uint32_t first_child = 0;  ///< children lie side by side, ordered by their bytes
    int32_t id = -1;           ///< of the piece that ends here; -1: none does
    uint16_t children = 0;
    uint8_t byte = 0;  ///< that leads here
  };
  const Node* child(const Node& node, uint8_t byte) const;

  std::vector<Node> nodes_;  ///< the root first
  size_t longest_ = 0;
};

}  // namespace lowrank
