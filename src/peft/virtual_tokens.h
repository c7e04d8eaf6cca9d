#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "text/batch.h"

namespace lowrank {

/// Puts `prefix` rows of `virtual_token` in front of each sequence that starts at position 0 and `infix` more
/// where its completion starts (behind all of its rows, where they are all prompt). What follows moves on,
/// rows and positions alike: PEFT counts virtual tokens as tokens. A target stays the prediction of the row
/// before its token; rows in front predict a first token that is a target. Sequences that go on from a cache
/// have their virtual rows there already: only their positions move.
void insert_virtual_tokens(Batch& batch, int64_t prefix, int64_t infix = 0);

/// Moves all positions on, where what stands in front has no rows of its own.
void shift_positions(Batch& batch, int64_t count);

/// `hidden` [T, d], a row a row of the batch, with the sequences' virtual tokens set to `table` [n, d] in the
/// type of `hidden`: the k-th virtual token of a sequence is row k. No gradient flows to what is overwritten.
at::Tensor with_virtual_rows(const at::Tensor& hidden, const Batch& batch, const at::Tensor& table);

/// `table` [n, d] laid out like the batch, [T, d]: row k at each sequence's k-th virtual token, `elsewhere`
/// [d] at the others (undefined: zeros).
at::Tensor spread_virtual_rows(const Batch& batch, const at::Tensor& table, const at::Tensor& elsewhere);

}  // namespace lowrank
