#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/operations/attention_plan.h"

namespace lowrank {

/// Consecutive rows of one query run, computed together by one task per key head.
struct QueryBlock {
  int64_t row = 0, count = 0, position = 0;  ///< rows [row, row+count) of qkv, the first at `position`
  int64_t first_key_run = 0, key_runs = 0;
  int64_t work = 0;  ///< query-key pairs, an upper bound
};

/// Query runs cut into blocks of at most `max_count` rows, in the plan's order.
std::vector<QueryBlock> query_blocks(const AttentionPlan& plan, const AttentionShape& shape,
                                     int64_t max_count);

/// Rows [begin, end) of a key source whose gradient a chunk accumulates in its own sums, from row `at` on.
struct KeySpan {
  int32_t source = 0;
  int64_t begin = 0, end = 0, at = 0;
};

/// Part of a span that no other chunk touches (shared < 0: its sum is the gradient), or that several do (the
/// sum goes to the buffer of partial sums, from row `shared` on).
struct KeyPiece {
  int32_t source = 0;
  int64_t begin = 0, count = 0, at = 0, shared = -1;
};

/// A range of query blocks whose key gradients are summed by one task per key head.
struct QueryChunk {
  int64_t first_block = 0, blocks = 0, work = 0;
  std::vector<KeySpan> spans;
  std::vector<KeyPiece> pieces;
  int64_t sum_rows = 0;
};

/// Rows whose gradient is the sum of several rows of the buffer of partial sums, added in the order of
/// `parts`.
struct SharedRows {
  int32_t source = 0;
  int64_t begin = 0, count = 0;
  std::vector<int64_t> parts;
};

/// How the backward pass is divided. It does not depend on the threads, so neither do the bits of the sums.
struct BackwardSchedule {
  std::vector<QueryBlock> blocks;
  std::vector<QueryChunk> chunks;
  std::vector<SharedRows> shared;
  int64_t partial_rows = 0;
};

/// wants[i]: the gradient of key source i is wanted.
BackwardSchedule backward_schedule(const AttentionPlan& plan, const AttentionShape& shape, int64_t max_count,
                                   const std::vector<bool>& wants);

/// Task numbers 0 … n-1, largest work first.
std::vector<int64_t> largest_first(std::span<const int64_t> work);

/// The gaps between `ranges` in [0, rows); `ranges` may overlap and be unsorted.
std::vector<Range> uncovered(std::vector<Range> ranges, int64_t rows);

}  // namespace lowrank
