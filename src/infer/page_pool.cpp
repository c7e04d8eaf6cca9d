#include "infer/page_pool.h"

#include <algorithm>

namespace lowrank {

PagePool::PagePool(int64_t pages) : pages_(pages), known_(pages), free_(pages) {}

size_t PagePool::Hash::operator()(const PageKey& key) const {
  uint64_t hash = key.before;
  for (const int64_t token : key.tokens) {
    hash = (hash ^ static_cast<uint64_t>(token)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  return hash;
}

PagePool::Gap PagePool::longest_gap() const {
  Gap longest;
  int64_t begin = 0;
  for (int64_t page = 0; page <= size(); ++page) {
    if (page < size() && is_free(page)) continue;
    if (page - begin > longest.count) longest = {begin, page - begin};
    begin = page + 1;
  }
  return longest;
}

std::optional<int64_t> PagePool::take(int64_t before, int64_t count) {
  int64_t page = before + 1;
  if (before < 0 || page >= size() || !is_free(page)) {
    Gap gap = longest_gap();
    for (int64_t i = 0; gap.count < count && i < 2 * count && !kept_.empty(); ++i) {
      forget(kept_.begin()->second);
      gap = longest_gap();
    }
    if (gap.count == 0) return std::nullopt;
    // A sequence before the gap may grow into its beginning.
    page = gap.begin + (gap.begin == 0 ? 0 : std::max<int64_t>(0, gap.count - count) / 2);
  }
  --free_;
  pages_[page].uses = 1;
  return page;
}

void PagePool::forget(int64_t page) {
  kept_.erase(pages_[page].released);
  contents_.erase(contents_.find(*known_[page]));
  pages_[page] = {};
  ++free_;
}

void PagePool::use(int64_t page) {
  if (pages_[page].uses++ == 0) kept_.erase(pages_[page].released);
}

void PagePool::release(int64_t page) {
  if (--pages_[page].uses > 0) return;
  if (pages_[page].content == 0) {
    ++free_;
    return;
  }
  pages_[page].released = ++clock_;
  kept_.emplace(clock_, page);
}

std::optional<int64_t> PagePool::find(const PageKey& key) const {
  const auto found = contents_.find(key);
  return found == contents_.end() ? std::nullopt : std::optional(found->second);
}

uint64_t PagePool::keep(int64_t page, PageKey key) {
  const auto [entry, is_new] = contents_.try_emplace(std::move(key), page);
  if (!is_new) return pages_[entry->second].content;
  known_[page] = &entry->first;
  pages_[page].content = ++last_content_;
  return last_content_;
}

}  // namespace lowrank
