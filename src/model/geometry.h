#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "kernels/operations/attention.h"

namespace lowrank {

/// The layout of a packed hidden state's rows: positions, sequences, and who attends to whom.
/// It starts as the batch's own and changes only if a method inserts rows between layers or a layer outputs
/// only some of its rows.
struct Geometry {
  at::Tensor positions;                  ///< int64 [T]
  std::vector<int64_t> offsets;          ///< [S+1]
  std::vector<int64_t> first_positions;  ///< [S] position of each sequence's first row
  std::shared_ptr<const AttentionPlan> plan;
  std::vector<int64_t> batch_rows;  ///< row that holds each row of the batch, -1: none; empty: the identity
  std::vector<int64_t> leaving;     ///< rows that the layer outputs, ascending; empty: all of them

  int64_t rows() const { return offsets.back(); }
};

/// The geometry of a batch; a sequence that continues others also attends to them. Each sequence's positions
/// must be consecutive.
Geometry geometry_of(const Batch& batch);

/// The geometry of only these rows of the batch, for what comes after the layers: no attention plan, and no
/// sequences (`offsets` is empty) if the rows are not ascending.
Geometry geometry_of_rows(const Batch& batch, std::span<const int64_t> rows);

/// `geometry` with `count` rows put in front of each sequence at the positions before its first one.
/// Errors: invalid where a sequence starts at a position below `count`. Not for batches whose sequences
/// continue others.
Geometry with_rows_in_front(const Geometry& geometry, int64_t count);

/// The layout after a layer that outputs only the `leaving` rows: those rows, without an attention plan, so
/// no further layer can follow. If `leaving` is empty, `geometry` itself.
Geometry geometry_behind(const Geometry& geometry);

/// Only the sequences [begin, end) of `geometry`, whose batch rows are [first_row, end_row); no attention
/// plan.
Geometry part_of(const Geometry& geometry, int64_t begin, int64_t end, int64_t first_row, int64_t end_row);

/// The sequences of several geometries, one after another, with the plan of a pass without cache. Together,
/// `parts` are all sequences of a batch.
Geometry joined(std::span<const Geometry> parts);

/// A hidden state between layers: the residual stream [T, d] (f32) and the branch output [T, d] that is still
/// to be added to it (the next norm adds it in the same pass). An undefined branch means that there is
/// nothing to add.
struct Packed {
  at::Tensor stream;
  at::Tensor branch;
  Geometry geometry;

  /// stream + branch, in the stream's type.
  at::Tensor sum() const;
};

}  // namespace lowrank
