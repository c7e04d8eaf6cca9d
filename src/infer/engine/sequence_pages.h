#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "infer/engine/sequence.h"
#include "infer/page_pool.h"
#include "model/kv_cache.h"

namespace lowrank {

/// The pages of the sequences that run, in a KvCache: taken as they grow, shared where sequences begin alike.
class SequencePages {
 public:
  SequencePages(int64_t slots, int64_t pages, int64_t page_rows);

  /// Gives a sequence a slot and pages for all of its tokens; those that others have computed already are
  /// shared, but for the page of the last token, whose logits are needed. False, and nothing is taken, if
  /// afterwards fewer than `spare` pages could be taken, or no slot is free.
  bool begin(EngineSequence& sequence, int64_t spare);
  /// Takes pages for `tokens` tokens. False if there are too few; those that were taken remain.
  bool grow(EngineSequence& sequence, int64_t tokens);
  /// Replaces pages that the sequence has not computed by those of others that have the same content.
  void adopt(EngineSequence& sequence);
  /// The content of the page that the sequence will compute next, if that is to be shared and will be full.
  std::optional<PageKey> next_content(const EngineSequence& sequence) const;
  /// Counts `tokens` more as cached and states what full pages hold.
  void advance(EngineSequence& sequence, int64_t tokens);
  /// Forgets the keys of a sequence, which keeps its pages. Only for one that shares nothing.
  void restart(EngineSequence& sequence);
  /// Takes slot and pages from a sequence.
  void end(EngineSequence& sequence);

  int64_t page_rows() const { return page_rows_; }
  int64_t pages_for(int64_t rows) const { return (rows + page_rows_ - 1) / page_rows_; }
  const PagePool& pool() const { return pool_; }
  KvCache& cache() { return cache_; }

 private:
  PageKey content_at(const EngineSequence& sequence, uint64_t before, int64_t page) const;
  int64_t shareable(const EngineSequence& sequence) const;
  bool take_pages(EngineSequence& sequence, int64_t tokens);
  void assign(const EngineSequence& sequence);

  int64_t page_rows_;
  PagePool pool_;
  KvCache cache_;
  std::vector<int64_t> free_slots_;
};

}  // namespace lowrank
