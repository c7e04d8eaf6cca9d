#include "infer/engine/sequence_pages.h"

#include <algorithm>
#include <utility>

namespace lowrank {

SequencePages::SequencePages(int64_t slots, int64_t pages, int64_t page_rows)
    : page_rows_(page_rows), pool_(pages), cache_(slots, pages, page_rows) {
  for (int64_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

PageKey SequencePages::content_at(const EngineSequence& sequence, uint64_t before, int64_t page) const {
  const auto first = sequence.text.tokens().begin() + page * page_rows_;
  return {before, {first, first + page_rows_}};
}

/// Pages that a sequence could take from others.
int64_t SequencePages::shareable(const EngineSequence& sequence) const {
  return sequence.shares ? (sequence.text.size() - 1) / page_rows_ : 0;
}

void SequencePages::assign(const EngineSequence& sequence) {
  const int64_t rows = sequence.cached > 0 ? sequence.cached + sequence.front.rows : 0;
  cache_.assign(sequence.slot, sequence.pages, rows);
}

bool SequencePages::begin(EngineSequence& sequence, int64_t spare) {
  if (free_slots_.empty()) return false;
  std::vector<int64_t> shared;
  uint64_t content = first_page(sequence.resident.identity);
  int64_t unused = 0;
  while (std::ssize(shared) < shareable(sequence)) {
    const auto page = pool_.find(content_at(sequence, content, std::ssize(shared)));
    if (!page) break;
    content = pool_.content(*page);
    unused += pool_.uses(*page) == 0 ? 1 : 0;
    shared.push_back(*page);
  }
  const int64_t fresh = pages_for(sequence.text.size() + sequence.front.rows) - std::ssize(shared);
  if (fresh + spare > pool_.available() - unused) return false;
  for (const int64_t page : shared) pool_.use(page);
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  sequence.stated = std::ssize(shared);
  sequence.content = content;
  sequence.cached = sequence.stated * page_rows_;
  sequence.pages = std::move(shared);
  const bool enough = take_pages(sequence, sequence.text.size());
  assign(sequence);
  return enough;
}

bool SequencePages::take_pages(EngineSequence& sequence, int64_t tokens) {
  const int64_t wanted = pages_for(tokens + sequence.front.rows);
  int64_t count = wanted - std::ssize(sequence.pages);
  while (std::ssize(sequence.pages) < wanted) {
    const auto page =
        pool_.take(sequence.pages.empty() ? -1 : sequence.pages.back(), std::exchange(count, 1));
    if (!page) return false;
    sequence.pages.push_back(*page);
  }
  return true;
}

bool SequencePages::grow(EngineSequence& sequence, int64_t tokens) {
  const size_t before = sequence.pages.size();
  const bool enough = take_pages(sequence, tokens);
  if (sequence.pages.size() != before) assign(sequence);
  return enough;
}

void SequencePages::adopt(EngineSequence& sequence) {
  const int64_t before = sequence.cached;
  while (sequence.cached == sequence.stated * page_rows_ && sequence.stated < shareable(sequence)) {
    const auto page = pool_.find(content_at(sequence, sequence.content, sequence.stated));
    if (!page) break;
    pool_.use(*page);
    pool_.release(std::exchange(sequence.pages[sequence.stated++], *page));
    sequence.content = pool_.content(*page);
    sequence.cached += page_rows_;
  }
  if (sequence.cached != before) assign(sequence);
}

std::optional<PageKey> SequencePages::next_content(const EngineSequence& sequence) const {
  if (!sequence.shares || (sequence.stated + 1) * page_rows_ > sequence.text.size()) return std::nullopt;
  return content_at(sequence, sequence.content, sequence.stated);
}

void SequencePages::advance(EngineSequence& sequence, int64_t tokens) {
  sequence.cached += tokens;
  while (sequence.shares && (sequence.stated + 1) * page_rows_ <= sequence.cached) {
    const int64_t page = sequence.pages[sequence.stated];
    sequence.content = pool_.keep(page, content_at(sequence, sequence.content, sequence.stated));
    ++sequence.stated;
  }
}

void SequencePages::restart(EngineSequence& sequence) {
  sequence.cached = 0;
  cache_.clear(sequence.slot);
}

void SequencePages::end(EngineSequence& sequence) {
  if (sequence.slot < 0) return;
  // The last page first, so that the beginnings of texts are kept longest.
  for (; !sequence.pages.empty(); sequence.pages.pop_back()) pool_.release(sequence.pages.back());
  free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  sequence.cached = sequence.stated = 0;
}

}  // namespace lowrank
