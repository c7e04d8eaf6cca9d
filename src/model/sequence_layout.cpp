#include "model/sequence_layout.h"

#include <algorithm>

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"

namespace lowrank {
namespace {

std::shared_ptr<const AttentionPlan> plan_of(const std::vector<int64_t>& offsets,
                                             const std::vector<int64_t>& first_positions,
                                             const std::vector<int64_t>& parents) {
  auto plan = std::make_shared<AttentionPlan>();
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t begin = offsets[s];
    const int64_t count = offsets[s + 1] - begin;
    const auto first_key_run = static_cast<int64_t>(plan->keys.size());
    for (int64_t seen = static_cast<int64_t>(s); seen != no_parent;
         seen = parents.empty() ? no_parent : parents[seen])
      plan->keys.push_back({0, offsets[seen], offsets[seen + 1] - offsets[seen], first_positions[seen]});
    std::reverse(plan->keys.begin() + first_key_run, plan->keys.end());
    plan->queries.push_back({begin, count, first_positions[s], first_key_run,
                             static_cast<int64_t>(plan->keys.size()) - first_key_run});
  }
  return plan;
}

at::Tensor positions_of(const std::vector<int64_t>& offsets, const std::vector<int64_t>& first_positions) {
  std::vector<int64_t> positions;
  positions.reserve(offsets.back());
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (int64_t i = 0; i < offsets[s + 1] - offsets[s]; ++i) positions.push_back(first_positions[s] + i);
  }
  return at::tensor(positions, at::kLong);
}

}  // namespace

SequenceLayout sequence_layout(const Batch& batch) {
  SequenceLayout layout;
  layout.offsets = batch.offsets;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int64_t begin = batch.offsets[s];
    layout.first_positions.push_back(begin < batch.token_count() ? batch.positions[begin] : 0);
    for (int64_t row = begin; row < batch.offsets[s + 1]; ++row) {
      check(batch.positions[row] == layout.first_positions.back() + row - begin, ErrorKind::invalid,
            "sequence {} of the batch has a gap in its positions at row {}", s, row - begin);
    }
  }
  layout.positions = at::tensor(batch.positions, at::kLong);
  layout.plan = plan_of(layout.offsets, layout.first_positions, batch.parents);
  return layout;
}

SequenceLayout layout_of_rows(const Batch& batch, std::span<const int64_t> rows) {
  SequenceLayout layout;
  std::vector<int64_t> positions;
  positions.reserve(rows.size());
  for (const int64_t row : rows) positions.push_back(batch.positions[row]);
  layout.positions = at::tensor(positions, at::kLong);
  if (!std::ranges::is_sorted(rows)) return layout;
  for (const int64_t offset : batch.offsets)
    layout.offsets.push_back(std::ranges::lower_bound(rows, offset) - rows.begin());
  for (size_t s = 0; s + 1 < layout.offsets.size(); ++s) {
    const bool any = layout.offsets[s] < layout.offsets[s + 1];
    layout.first_positions.push_back(any ? positions[layout.offsets[s]] : 0);
  }
  return layout;
}

SequenceLayout with_rows_in_front(const SequenceLayout& layout, int64_t count) {
  SequenceLayout wider;
  const auto sequences = static_cast<int64_t>(layout.first_positions.size());
  for (int64_t s = 0; s <= sequences; ++s) wider.offsets.push_back(layout.offsets[s] + s * count);
  for (int64_t s = 0; s < sequences; ++s) {
    check(layout.first_positions[s] >= count, ErrorKind::invalid,
          "no room for {} rows before position {}: the method's layout must leave it", count,
          layout.first_positions[s]);
    wider.first_positions.push_back(layout.first_positions[s] - count);
  }
  // A row's sequence is found by the old offsets, since batch_rows (or the identity) refers to the old rows.
  std::vector<int64_t> shift(layout.rows());
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t row = layout.offsets[s]; row < layout.offsets[s + 1]; ++row) shift[row] = (s + 1) * count;
  }
  const auto batch_rows =
      static_cast<int64_t>(layout.batch_rows.empty() ? shift.size() : layout.batch_rows.size());
  for (int64_t i = 0; i < batch_rows; ++i) {
    const int64_t row = layout.batch_rows.empty() ? i : layout.batch_rows[i];
    wider.batch_rows.push_back(row < 0 ? row : row + shift[row]);
  }
  wider.positions = positions_of(wider.offsets, wider.first_positions);
  wider.plan = plan_of(wider.offsets, wider.first_positions, {});
  return wider;
}

SequenceLayout layout_after_layer(const SequenceLayout& layout) {
  if (layout.output_tokens.empty()) return layout;
  SequenceLayout behind;
  std::vector<int64_t> place(layout.rows(), -1);
  for (size_t i = 0; i < layout.output_tokens.size(); ++i)
    place[layout.output_tokens[i]] = static_cast<int64_t>(i);
  behind.positions = layout.positions.index_select(0, at::tensor(layout.output_tokens, at::kLong));
  for (const int64_t offset : layout.offsets)
    behind.offsets.push_back(std::ranges::lower_bound(layout.output_tokens, offset) -
                             layout.output_tokens.begin());
  behind.first_positions = layout.first_positions;
  behind.batch_rows = layout.batch_rows.empty() ? place : layout.batch_rows;
  if (!layout.batch_rows.empty()) {
    for (int64_t& row : behind.batch_rows) row = row < 0 ? row : place[row];
  }
  return behind;
}

SequenceLayout part_of(const SequenceLayout& layout, int64_t begin, int64_t end, int64_t first_row,
                       int64_t end_row) {
  SequenceLayout part;
  const int64_t first = layout.offsets[begin];
  for (int64_t s = begin; s <= end; ++s) part.offsets.push_back(layout.offsets[s] - first);
  part.positions = layout.positions.narrow(0, first, part.rows());
  part.first_positions.assign(layout.first_positions.begin() + begin, layout.first_positions.begin() + end);
  for (int64_t row = first_row; row < end_row && !layout.batch_rows.empty(); ++row)
    part.batch_rows.push_back(layout.batch_rows[row] < 0 ? -1 : layout.batch_rows[row] - first);
  return part;
}

SequenceLayout joined(std::span<const SequenceLayout> parts) {
  SequenceLayout all;
  all.offsets.push_back(0);
  std::vector<at::Tensor> positions;
  for (const SequenceLayout& part : parts) {
    const int64_t first = all.rows();
    for (size_t s = 1; s < part.offsets.size(); ++s) all.offsets.push_back(first + part.offsets[s]);
    all.first_positions.insert(all.first_positions.end(), part.first_positions.begin(),
                               part.first_positions.end());
    positions.push_back(part.positions);
    const auto rows = part.batch_rows.empty() ? part.rows() : std::ssize(part.batch_rows);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = part.batch_rows.empty() ? row : part.batch_rows[row];
      all.batch_rows.push_back(place < 0 ? -1 : first + place);
    }
  }
  all.positions = at::cat(positions);
  all.plan = plan_of(all.offsets, all.first_positions, {});
  return all;
}

at::Tensor HiddenState::sum() const {
  return branch.defined() ? at::add(stream, branch) : stream;
}

}  // namespace lowrank
