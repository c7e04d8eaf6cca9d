#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/batch.h"

namespace lowrank {

/// Puts `prefix` rows of `virtual_token` in front of each sequence that starts at position 0 and `infix` more
/// where its completion starts (after all its rows if they are all prompt). The rows and positions that
/// follow are shifted: PEFT counts virtual tokens as tokens. Each target is still predicted by the row before
/// its token; if the first token is a target, the last row in front predicts it. Sequences that continue from
/// a cache already have their virtual rows there: only their positions are shifted.
void insert_virtual_tokens(Batch& batch, int64_t prefix, int64_t infix = 0);

/// Shifts all positions, for a prefix without rows of its own.
void shift_positions(Batch& batch, int64_t count);

/// `hidden` [T, d], one row per row of the batch, with the sequences' virtual tokens set to `table` [n, d] in
/// the type of `hidden`: the k-th virtual token of a sequence gets row k. No gradient flows to overwritten
/// rows.
at::Tensor with_virtual_rows(const at::Tensor& hidden, const Batch& batch, const at::Tensor& table);

/// `table` [n, d] laid out like the batch, [T, d]: row k at each sequence's k-th virtual token, `elsewhere`
/// [d] at other tokens (undefined: zeros).
at::Tensor spread_virtual_rows(const Batch& batch, const at::Tensor& table, const at::Tensor& elsewhere);

}  // namespace lowrank
