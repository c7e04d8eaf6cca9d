#include "kernels/operations/attention_plan.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr int64_t position_limit = int64_t{1} << 40;

void check_disjoint(std::vector<Range> ranges, const char* what) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges.size(); ++i)
    check(ranges[i - 1].end <= ranges[i].begin, ErrorKind::invalid, "attention plan: two {} share row {}",
          what, ranges[i].begin);
}

void check_rows(int64_t begin, int64_t count, int64_t position, int64_t rows, const char* what,
                size_t index) {
  check(begin >= 0 && count >= 0 && begin <= rows && count <= rows - begin, ErrorKind::invalid,
        "attention plan: {} {} has rows {} to {} of {}", what, index, begin, begin + count, rows);
  check(position > -position_limit && position < position_limit, ErrorKind::invalid,
        "attention plan: {} {} starts at position {}", what, index, position);
}

void check_shape(const AttentionShape& shape) {
  check(shape.heads > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.heads % shape.kv_heads == 0,
        ErrorKind::invalid, "attention: {} heads of {} cannot share {} key heads", shape.heads,
        shape.head_dim, shape.kv_heads);
  check(shape.softcap >= 0, ErrorKind::invalid, "attention: the scores are capped at {}", shape.softcap);
  check(shape.window >= 0 && shape.window < position_limit, ErrorKind::invalid, "attention: the window is {}",
        shape.window);
}

}  // namespace

AttentionPlan packed_plan(std::span<const int64_t> offsets) {
  AttentionPlan plan;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t begin = offsets[i], count = offsets[i + 1] - begin;
    check(begin >= 0 && count >= 0, ErrorKind::invalid, "sequence {} has rows {} to {}", i, begin,
          begin + count);
    plan.queries.push_back({begin, count, 0, static_cast<int64_t>(plan.keys.size()), 1});
    plan.keys.push_back({0, begin, count, 0});
  }
  return plan;
}

void check_plan(const AttentionPlan& plan, const AttentionShape& shape,
                std::span<const int64_t> source_rows) {
  check_shape(shape);
  for (size_t i = 0; i < plan.keys.size(); ++i) {
    const KeyRun& run = plan.keys[i];
    check(run.source >= 0 && static_cast<size_t>(run.source) < source_rows.size(), ErrorKind::invalid,
          "attention plan: key run {} names source {} of {}", i, run.source, source_rows.size());
    check_rows(run.begin, run.count, run.first_position, source_rows[run.source], "key run", i);
  }
  std::vector<Range> rows;
  const int64_t key_runs = static_cast<int64_t>(plan.keys.size());
  for (size_t i = 0; i < plan.queries.size(); ++i) {
    const QueryRun& run = plan.queries[i];
    check_rows(run.begin, run.count, run.first_position, source_rows[0], "query run", i);
    check(run.first_key_run >= 0 && run.key_runs >= 0 && run.first_key_run <= key_runs &&
              run.key_runs <= key_runs - run.first_key_run,
          ErrorKind::invalid, "attention plan: query run {} names key runs {} to {} of {}", i,
          run.first_key_run, run.first_key_run + run.key_runs, key_runs);
    if (run.count > 0) rows.push_back({run.begin, run.begin + run.count});
  }
  check_disjoint(std::move(rows), "query runs");
}

}  // namespace lowrank
