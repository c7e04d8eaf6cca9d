#include "model/geometry.h"

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

Geometry geometry_of(const Batch& batch) {
  Geometry geometry;
  geometry.offsets = batch.offsets;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int64_t begin = batch.offsets[s];
    geometry.first_positions.push_back(begin < batch.rows() ? batch.positions[begin] : 0);
    for (int64_t row = begin; row < batch.offsets[s + 1]; ++row) {
      check(batch.positions[row] == geometry.first_positions.back() + row - begin, ErrorKind::invalid,
            "sequence {} of the batch has a gap in its positions at row {}", s, row - begin);
    }
  }
  geometry.positions = at::tensor(batch.positions, at::kLong);
  geometry.plan = plan_of(geometry.offsets, geometry.first_positions, batch.parents);
  return geometry;
}

Geometry geometry_of_rows(const Batch& batch, std::span<const int64_t> rows) {
  Geometry geometry;
  std::vector<int64_t> positions;
  positions.reserve(rows.size());
  for (const int64_t row : rows) positions.push_back(batch.positions[row]);
  geometry.positions = at::tensor(positions, at::kLong);
  if (!std::ranges::is_sorted(rows)) return geometry;
  for (const int64_t offset : batch.offsets)
    geometry.offsets.push_back(std::ranges::lower_bound(rows, offset) - rows.begin());
  for (size_t s = 0; s + 1 < geometry.offsets.size(); ++s) {
    const bool any = geometry.offsets[s] < geometry.offsets[s + 1];
    geometry.first_positions.push_back(any ? positions[geometry.offsets[s]] : 0);
  }
  return geometry;
}

Geometry with_rows_in_front(const Geometry& geometry, int64_t count) {
  Geometry wider;
  const auto sequences = static_cast<int64_t>(geometry.first_positions.size());
  for (int64_t s = 0; s <= sequences; ++s) wider.offsets.push_back(geometry.offsets[s] + s * count);
  for (int64_t s = 0; s < sequences; ++s) {
    check(geometry.first_positions[s] >= count, ErrorKind::invalid,
          "no room for {} rows before position {}: the method's layout must leave it", count,
          geometry.first_positions[s]);
    wider.first_positions.push_back(geometry.first_positions[s] - count);
  }
  // A row's sequence is found by the old offsets, since batch_rows (or the identity) refers to the old rows.
  std::vector<int64_t> shift(geometry.rows());
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t row = geometry.offsets[s]; row < geometry.offsets[s + 1]; ++row)
      shift[row] = (s + 1) * count;
  }
  const auto batch_rows =
      static_cast<int64_t>(geometry.batch_rows.empty() ? shift.size() : geometry.batch_rows.size());
  for (int64_t i = 0; i < batch_rows; ++i) {
    const int64_t row = geometry.batch_rows.empty() ? i : geometry.batch_rows[i];
    wider.batch_rows.push_back(row + shift[row]);
  }
  wider.positions = positions_of(wider.offsets, wider.first_positions);
  wider.plan = plan_of(wider.offsets, wider.first_positions, {});
  return wider;
}

Geometry geometry_behind(const Geometry& geometry) {
  if (geometry.leaving.empty()) return geometry;
  Geometry behind;
  std::vector<int64_t> place(geometry.rows(), -1);
  for (size_t i = 0; i < geometry.leaving.size(); ++i) place[geometry.leaving[i]] = static_cast<int64_t>(i);
  behind.positions = geometry.positions.index_select(0, at::tensor(geometry.leaving, at::kLong));
  for (const int64_t offset : geometry.offsets)
    behind.offsets.push_back(std::ranges::lower_bound(geometry.leaving, offset) - geometry.leaving.begin());
  behind.first_positions = geometry.first_positions;
  behind.batch_rows = geometry.batch_rows.empty() ? place : geometry.batch_rows;
  if (!geometry.batch_rows.empty()) {
    for (int64_t& row : behind.batch_rows) row = place[row];
  }
  return behind;
}

Geometry part_of(const Geometry& geometry, int64_t begin, int64_t end, int64_t first_row, int64_t end_row) {
  Geometry part;
  const int64_t first = geometry.offsets[begin];
  for (int64_t s = begin; s <= end; ++s) part.offsets.push_back(geometry.offsets[s] - first);
  part.positions = geometry.positions.narrow(0, first, part.rows());
  part.first_positions.assign(geometry.first_positions.begin() + begin,
                              geometry.first_positions.begin() + end);
  for (int64_t row = first_row; row < end_row && !geometry.batch_rows.empty(); ++row)
    part.batch_rows.push_back(geometry.batch_rows[row] < 0 ? -1 : geometry.batch_rows[row] - first);
  return part;
}

Geometry joined(std::span<const Geometry> parts) {
  Geometry all;
  all.offsets.push_back(0);
  std::vector<at::Tensor> positions;
  for (const Geometry& part : parts) {
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

at::Tensor Packed::sum() const {
  return branch.defined() ? at::add(stream, branch) : stream;
}

}  // namespace lowrank
