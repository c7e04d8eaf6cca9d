#include "infer/engine/page_pool.h"

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

int64_t PagePool::middle_of_longest_gap() const {
  int64_t best = 0, longest = 0, begin = 0;
  for (int64_t page = 0; page <= size(); ++page) {
    if (page < size() && is_free(page)) continue;
    if (page - begin > longest) {
      longest = page - begin;
      best = begin;
    }
    begin = page + 1;
  }
  // A sequence before the gap may grow into its first half.
  return best + (best == 0 ? 0 : longest / 2);
}

std::optional<int64_t> PagePool::take(int64_t before) {
  if (available() == 0) return std::nullopt;
  const int64_t behind = before + 1;
  int64_t page = 0;
  if (before >= 0 && behind < size() && is_free(behind)) {
    page = behind;
  } else if (free_ > 0) {
    page = middle_of_longest_gap();
  } else {
    page = kept_.begin()->second;
    forget(page);
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
