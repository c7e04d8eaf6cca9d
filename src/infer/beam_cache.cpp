#include "infer/beam_cache.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

int64_t pages_of(int64_t rows) {
  return (rows + BeamCache::page_rows - 1) / BeamCache::page_rows;
}

}  // namespace

int64_t BeamCache::pages_for(int64_t beams, int64_t shared_rows, int64_t rows) {
  const int64_t shared = shared_rows / page_rows;
  return shared + beams * (pages_of(rows) - shared);
}

BeamCache::BeamCache(int64_t slots, int64_t pages)
    : pool_(pages), cache_(slots, pages, page_rows), pages_(slots) {
  for (int64_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

int64_t BeamCache::free_slot() {
  const int64_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

/// A page for what follows `behind`, of `count` pages to be taken in a row.
int64_t BeamCache::take(const std::vector<int64_t>& behind, int64_t count) {
  const auto page = pool_.take(behind.empty() ? -1 : behind.back(), count);
  check(page.has_value(), ErrorKind::invalid, "beams need more than the {} pages of their cache",
        pool_.size());
  return *page;
}

int64_t BeamCache::begin() {
  const int64_t slot = free_slot();
  cache_.assign(slot, {}, 0);
  return slot;
}

void BeamCache::reserve(int64_t slot, int64_t rows) {
  std::vector<int64_t>& pages = pages_[slot];
  const int64_t length = cache_.length(slot), wanted = pages_of(length + rows);
  if (wanted <= std::ssize(pages)) return;
  while (std::ssize(pages) < wanted) pages.push_back(take(pages, wanted - std::ssize(pages)));
  cache_.assign(slot, pages, length);
}

/// A new slot with what `parent` holds.
int64_t BeamCache::split(int64_t parent) {
  const int64_t slot = free_slot(), length = cache_.length(parent);
  const std::vector<int64_t>& theirs = pages_[parent];
  std::vector<int64_t>& pages = pages_[slot];
  pages.assign(theirs.begin(), theirs.begin() + length / page_rows);
  for (const int64_t page : pages) pool_.use(page);
  if (const int64_t rest = length % page_rows; rest > 0) {
    pages.push_back(take(pages, 1));
    cache_.copy_page(theirs[length / page_rows], pages.back(), rest);
  }
  cache_.copy_states(parent, slot);
  cache_.assign(slot, pages, length);
  return slot;
}

std::vector<int64_t> BeamCache::fork(std::span<const int64_t> slots, std::span<const int64_t> parents) {
  std::vector<bool> continued(slots.size());
  for (const int64_t parent : parents) continued[parent] = true;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!continued[i]) end(slots[i]);
  }
  // The first beam that goes on with a slot keeps it.
  std::vector<int64_t> next;
  for (const int64_t parent : parents) {
    next.push_back(continued[parent] ? slots[parent] : split(slots[parent]));
    continued[parent] = false;
  }
  return next;
}

void BeamCache::end(int64_t slot) {
  for (const int64_t page : pages_[slot]) pool_.release(page);
  pages_[slot].clear();
  free_slots_.push_back(slot);
}

}  // namespace lowrank
