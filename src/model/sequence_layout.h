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
struct SequenceLayout {
  at::Tensor positions;                  ///< int64 [T], on the CPU
  std::vector<int64_t> offsets;          ///< [S+1]
  std::vector<int64_t> first_positions;  ///< [S] position of each sequence's first row
  std::shared_ptr<const AttentionPlan> plan;
  std::vector<int64_t> batch_rows;  ///< row that holds each row of the batch, -1: none; empty: the identity
  std::vector<int64_t> output_tokens;  ///< rows that the layer outputs, ascending; empty: all of them

  int64_t rows() const { return offsets.back(); }
};

/// The layout of a batch; a sequence that continues others also attends to them. Each sequence's positions
/// must be consecutive.
SequenceLayout sequence_layout(const Batch& batch);

/// The layout of only these rows of the batch, for what comes after the layers: no attention plan, and no
/// sequences (`offsets` is empty) if the rows are not ascending.
SequenceLayout layout_of_rows(const Batch& batch, std::span<const int64_t> rows);

/// `layout` with `count` rows put in front of each sequence at the positions before its first one.
/// Errors: invalid where a sequence starts at a position below `count`. Not for batches whose sequences
/// continue others.
SequenceLayout with_rows_in_front(const SequenceLayout& layout, int64_t count);

/// The layout after a layer that outputs only the `output_tokens` rows: those rows, without an attention
/// plan, so no further layer can follow. If `output_tokens` is empty, `layout` itself.
SequenceLayout layout_after_layer(const SequenceLayout& layout);

/// Only the sequences [begin, end) of `layout`, whose batch rows are [first_row, end_row); no attention
/// plan.
SequenceLayout part_of(const SequenceLayout& layout, int64_t begin, int64_t end, int64_t first_row,
                       int64_t end_row);

/// The sequences of several layouts, one after another, with the plan of a pass without cache. Together,
/// `parts` are all sequences of a batch.
SequenceLayout joined(std::span<const SequenceLayout> parts);

/// A hidden state between layers: the residual stream [T, d] (f32) and the branch output [T, d] that is still
/// to be added to it (the next norm adds it in the same pass). An undefined branch means that there is
/// nothing to add.
struct HiddenState {
  at::Tensor stream;
  at::Tensor branch;
  SequenceLayout layout;

  /// stream + branch, in the stream's type.
  at::Tensor sum() const;
};

}  // namespace lowrank
