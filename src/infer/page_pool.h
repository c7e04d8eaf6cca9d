#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace lowrank {

/// What the keys and values of a full page depend on: everything before it, and its tokens.
struct PageKey {
  uint64_t before = 0;  ///< the content number of the page before it; for a first page `first_page`
  std::vector<int64_t> tokens;
  bool operator==(const PageKey&) const = default;
};

/// `PageKey::before` of the first page of a sequence that `identity` (an adapter, or 0 for the base)
/// computes.
constexpr uint64_t first_page(uint64_t identity) {
  return identity | uint64_t{1} << 63;
}

/// Who uses which page of a KvCache. A page is in use (by one sequence or, if it is full, by several that
/// begin alike), or kept for later because its content is known, or free. Contents are compared exactly: page
/// by page, with the number that the content of the page before has.
class PagePool {
 public:
  explicit PagePool(int64_t pages);

  /// A page with one use, for what follows the page `before` (-1: for the beginning of a sequence). The page
  /// behind it is preferred, so that keys of a sequence lie side by side, then a free one in the longest gap.
  /// `count`: how many pages in a row are to be taken, of which this is the first: kept pages are forgotten
  /// until they fit into a gap, at most twice as many, the one that has not been used for the longest time
  /// first. Nothing if all pages are in use.
  std::optional<int64_t> take(int64_t before, int64_t count = 1);
  /// Adds a use of a page that is in use or kept.
  void use(int64_t page);
  /// Ends a use.
  void release(int64_t page);

  /// The page with this content, if there is one.
  std::optional<int64_t> find(const PageKey& key) const;
  /// States what a full page in use holds, so that others find it and it is kept after its last use, unless
  /// another page holds the same. Returns the content's number, which no other content ever has.
  uint64_t keep(int64_t page, PageKey key);
  /// The number of the content that was stated for a page; 0 if there is none.
  uint64_t content(int64_t page) const { return pages_[page].content; }

  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  int64_t uses(int64_t page) const { return pages_[page].uses; }
  int64_t used() const { return size() - kept() - free_; }
  int64_t kept() const { return static_cast<int64_t>(kept_.size()); }
  int64_t free() const { return free_; }
  /// Pages that `take` can still give.
  int64_t available() const { return free_ + kept(); }

 private:
  struct Page {
    int64_t uses = 0;
    uint64_t content = 0;
    uint64_t released = 0;  ///< when, if it is kept
  };
  struct Hash {
    size_t operator()(const PageKey& key) const;
  };
  using Contents = std::unordered_map<PageKey, int64_t, Hash>;

  bool is_free(int64_t page) const { return pages_[page].uses == 0 && pages_[page].content == 0; }
  /// Free pages side by side.
  struct Gap {
    int64_t begin = 0, count = 0;
  };
  Gap longest_gap() const;
  void forget(int64_t page);

  std::vector<Page> pages_;
  Contents contents_;                  ///< page of each known content
  std::vector<const PageKey*> known_;  ///< [pages] its key in `contents_`, if it has a content
  std::map<uint64_t, int64_t> kept_;   ///< unused pages with a content, by the time of their release
  int64_t free_;
  uint64_t clock_ = 0, last_content_ = 0;
};

}  // namespace lowrank
