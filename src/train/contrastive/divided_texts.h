#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "train/ranks/rank_group.h"
#include "train/ranks/step_share.h"

namespace lowrank {

/// The texts of a batch of make_text_batch whose vectors this process computes: all of them, or of several
/// ranks an adjacent part with about as many tokens as the others', which may be empty.
RowRange own_texts(const Batch& batch, const RankGroup* ranks);

/// The vectors of all `count` texts of a batch, [count, d], of which this process has those of `texts`,
/// [texts, d] f32. Of several ranks each gives its own, and all get the same, on the device of `own`; they
/// call it together. Errors: io when another rank has ended.
at::Tensor all_vectors(const at::Tensor& own, RowRange texts, int64_t count, const RankGroup* ranks);

}  // namespace lowrank
