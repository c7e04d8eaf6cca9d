#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/page_pool.h"
#include "model/kv_cache.h"

namespace lowrank {

/// The cached keys and values of beams, in pages. Beams that begin alike share the full pages of their
/// beginning, the prompt's first of all; a beam that splits copies what the last page holds, and the states
/// of layers that carry some.
class BeamCache {
 public:
  static constexpr int64_t page_rows = 16;

  /// Pages that `beams` beams of a prompt need at most, of which `shared_rows` rows are the same for all and
  /// each has at most `rows` rows.
  static int64_t pages_for(int64_t beams, int64_t shared_rows, int64_t rows);

  /// Slots for `slots` beams, on `pages` pages together.
  BeamCache(int64_t slots, int64_t pages);

  /// A slot for a prompt, which has no rows yet.
  int64_t begin();
  /// Gives a slot pages for `rows` more rows than it has.
  void reserve(int64_t slot, int64_t rows);
  /// The slots of the beams that take the place of those in `slots`: beam i goes on with what the slot of
  /// beam `parents[i]` holds. Slots with which none goes on are free afterwards.
  std::vector<int64_t> fork(std::span<const int64_t> slots, std::span<const int64_t> parents);
  void end(int64_t slot);
  /// Forgets the rows of a slot, which will be computed again; pages that others share get the same rows.
  void restart(int64_t slot) { cache_.clear(slot); }

  KvCache& cache() { return cache_; }

 private:
  int64_t free_slot();
  int64_t take(const std::vector<int64_t>& behind, int64_t count);
  int64_t split(int64_t parent);

  PagePool pool_;
  KvCache cache_;
  std::vector<std::vector<int64_t>> pages_;  ///< of each slot
  std::vector<int64_t> free_slots_;
};

}  // namespace lowrank
