#include "kernels/operations/attention_schedule.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace lowrank {
namespace {

/// A run is cut into chunks only when it holds more than 1/largest_share of all work: every cut costs partial
/// sums.
constexpr int64_t largest_share = 4;
/// Chunks are merged until about this many are left at most: enough for the threads, few partial sums of
/// shared keys.
constexpr int64_t most_chunks = 32;

int64_t pairs(const QueryBlock& block, const AttentionPlan& plan, const AttentionShape& shape) {
  int64_t sum = 0;
  for (int64_t i = 0; i < block.key_runs; ++i) {
    const KeyRun& key = plan.keys[block.first_key_run + i];
    const int64_t last = block.position + block.count - 1;
    sum += visible_keys(shape, block.position, last, key.first_position, key.count).size();
  }
  return sum * block.count + block.count;
}

/// Merges consecutive blocks into chunks: of about total/most_chunks work across runs, of about
/// total/largest_share at most within one run.
std::vector<QueryChunk> cut(std::span<const QueryBlock> blocks) {
  int64_t total = 0;
  for (const QueryBlock& block : blocks) total += block.work;
  std::vector<QueryChunk> chunks;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const bool new_run = i == 0 || blocks[i].first_key_run != blocks[i - 1].first_key_run ||
                         blocks[i].row != blocks[i - 1].row + blocks[i - 1].count;
    const int64_t limit = new_run ? total / most_chunks : total / largest_share;
    if (chunks.empty() || chunks.back().work >= limit)
      chunks.push_back({static_cast<int64_t>(i), 0, 0, {}, {}, 0});
    chunks.back().blocks += 1;
    chunks.back().work += blocks[i].work;
  }
  return chunks;
}

/// The chunk's visible key rows whose gradient is wanted, merged per source.
void find_spans(QueryChunk& chunk, std::span<const QueryBlock> blocks, const AttentionPlan& plan,
                const AttentionShape& shape, const std::vector<bool>& wants) {
  std::vector<KeySpan> found;
  for (int64_t b = chunk.first_block; b < chunk.first_block + chunk.blocks; ++b) {
    const QueryBlock& block = blocks[b];
    for (int64_t i = 0; i < block.key_runs; ++i) {
      const KeyRun& key = plan.keys[block.first_key_run + i];
      const int64_t last = block.position + block.count - 1;
      const Range seen = visible_keys(shape, block.position, last, key.first_position, key.count);
      if (wants[key.source] && seen.size() > 0)
        found.push_back({key.source, key.begin + seen.begin, key.begin + seen.end, 0});
    }
  }
  std::sort(found.begin(), found.end(), [](const KeySpan& a, const KeySpan& b) {
    return std::tie(a.source, a.begin) < std::tie(b.source, b.begin);
  });
  for (const KeySpan& span : found) {
    if (!chunk.spans.empty() && chunk.spans.back().source == span.source &&
        span.begin <= chunk.spans.back().end)
      chunk.spans.back().end = std::max(chunk.spans.back().end, span.end);
    else
      chunk.spans.push_back(span);
  }
  for (KeySpan& span : chunk.spans) {
    span.at = chunk.sum_rows;
    chunk.sum_rows += span.end - span.begin;
  }
}

/// A span's first or last row; `chunk` and `at` say whose.
struct Edge {
  int64_t row = 0, at = 0;
  size_t chunk = 0;
  bool opens = false;
};

/// Adds rows [begin, end) of `source`, which the chunks in `open` touch, to the schedule.
void add_piece(BackwardSchedule& schedule, int32_t source, int64_t begin, int64_t end,
               std::span<const Edge> open) {
  if (begin == end || open.empty()) return;
  SharedRows shared{source, begin, end - begin, {}};
  for (const Edge& edge : open) {
    KeyPiece piece{source, begin, end - begin, edge.at + begin - edge.row, -1};
    if (open.size() > 1) {
      piece.shared = schedule.partial_rows;
      shared.parts.push_back(piece.shared);
      schedule.partial_rows += piece.count;
    }
    schedule.chunks[edge.chunk].pieces.push_back(piece);
  }
  if (open.size() > 1) schedule.shared.push_back(std::move(shared));
}

/// Sweeps over the spans of all chunks in one source and cuts them where the set of touching chunks changes.
void find_pieces(BackwardSchedule& schedule, int32_t source) {
  std::vector<Edge> edges;
  for (size_t c = 0; c < schedule.chunks.size(); ++c)
    for (const KeySpan& span : schedule.chunks[c].spans)
      if (span.source == source) {
        edges.push_back({span.begin, span.at, c, true});
        edges.push_back({span.end, 0, c, false});
      }
  std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.row < b.row; });
  std::vector<Edge> open;
  int64_t begin = 0;
  for (const Edge& edge : edges) {
    add_piece(schedule, source, begin, edge.row, open);
    begin = edge.row;
    if (edge.opens)
      open.push_back(edge);
    else
      std::erase_if(open, [&](const Edge& o) { return o.chunk == edge.chunk && o.row < edge.row; });
  }
}

}  // namespace

std::vector<QueryBlock> query_blocks(const AttentionPlan& plan, const AttentionShape& shape,
                                     int64_t max_count) {
  std::vector<QueryBlock> blocks;
  for (const QueryRun& run : plan.queries) {
    const int64_t parts = (run.count + max_count - 1) / max_count;
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t first = run.count * i / parts, last = run.count * (i + 1) / parts;
      QueryBlock block{run.begin + first, last - first, run.first_position + first,
                       run.first_key_run, run.key_runs, 0};
      block.work = pairs(block, plan, shape);
      blocks.push_back(block);
    }
  }
  return blocks;
}

BackwardSchedule backward_schedule(const AttentionPlan& plan, const AttentionShape& shape, int64_t max_count,
                                   const std::vector<bool>& wants) {
  BackwardSchedule schedule;
  schedule.blocks = query_blocks(plan, shape, max_count);
  schedule.chunks = cut(schedule.blocks);
  for (QueryChunk& chunk : schedule.chunks) find_spans(chunk, schedule.blocks, plan, shape, wants);
  for (size_t source = 0; source < wants.size(); ++source)
    if (wants[source]) find_pieces(schedule, static_cast<int32_t>(source));
  return schedule;
}

std::vector<int64_t> largest_first(std::span<const int64_t> work) {
  std::vector<int64_t> order(work.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return work[a] > work[b]; });
  return order;
}

std::vector<Range> uncovered(std::vector<Range> ranges, int64_t rows) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.begin < b.begin; });
  std::vector<Range> gaps;
  int64_t done = 0;
  for (const Range& range : ranges) {
    if (range.begin > done) gaps.push_back({done, range.begin});
    done = std::max(done, range.end);
  }
  if (done < rows) gaps.push_back({done, rows});
  return gaps;
}

}  // namespace lowrank
