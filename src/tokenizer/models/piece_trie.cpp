#include "tokenizer/models/piece_trie.h"

#include <algorithm>
#include <numeric>

namespace lowrank {
namespace {

/// Ids of the pieces in alphabetical order; equal ones by id.
std::vector<int32_t> sorted_ids(const std::vector<std::string>& pieces) {
  std::vector<int32_t> ids(pieces.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::erase_if(ids, [&](int32_t id) { return pieces[id].empty(); });
  std::ranges::stable_sort(ids, [&](int32_t left, int32_t right) { return pieces[left] < pieces[right]; });
  return ids;
}

/// The pieces [begin, end) of the sorted ones, which share their first `depth` bytes: those of one node.
struct Shared {
  size_t begin, end, depth;
};

}  // namespace

PieceTrie::PieceTrie(const std::vector<std::string>& pieces) : nodes_(1) {
  const std::vector<int32_t> ids = sorted_ids(pieces);
  std::vector<Shared> level{{0, ids.size(), 0}};
  // Breadth first, so that the children of a node lie side by side.
  for (size_t first_node = 0; !level.empty();) {
    std::vector<Shared> next;
    const size_t first_child = first_node + level.size();
    for (size_t i = 0; i < level.size(); ++i) {
      auto [at, end, depth] = level[i];
      longest_ = std::max(longest_, depth);
      const size_t before = next.size();
      for (; at < end && pieces[ids[at]].size() == depth; ++at) nodes_[first_node + i].id = ids[at];
      while (at < end) {
        const char byte = pieces[ids[at]][depth];
        const size_t begin = at;
        while (at < end && pieces[ids[at]][depth] == byte) ++at;
        next.push_back({begin, at, depth + 1});
        nodes_.push_back({0, -1, 0, static_cast<uint8_t>(byte)});
      }
      nodes_[first_node + i].first_child = static_cast<uint32_t>(first_child + before);
      nodes_[first_node + i].children = static_cast<uint16_t>(next.size() - before);
    }
    first_node = first_child;
    level = std::move(next);
  }
}

const PieceTrie::Node* PieceTrie::child(const Node& node, uint8_t byte) const {
  const auto begin = nodes_.begin() + node.first_child;
  const auto end = begin + node.children;
  const auto found =
      std::lower_bound(begin, end, byte, [](const Node& one, uint8_t b) { return one.byte < b; });
  return found != end && found->byte == byte ? &*found : nullptr;
}

int32_t PieceTrie::find(std::string_view piece) const {
  const Node* node = nodes_.data();
  for (const char c : piece) {
    node = child(*node, static_cast<uint8_t>(c));
    if (!node) return -1;
  }
  return node->id;
}

}  // namespace lowrank
