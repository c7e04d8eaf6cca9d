#pragma once

#include <functional>
#include <memory>

#include "model/checkpoint.h"
#include "model/model.h"
#include "session/session.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// Settles `base_memory` for a base that ranks share out. Errors: invalid for options that keep copies of it,
/// or leave it elsewhere than in memory of the CPU.
void settle_shared_base(SessionOptions& options);

/// Bytes of the file that a rank does not map where the base is shared out.
int64_t shared_bytes(const Checkpoint& checkpoint, const std::function<TensorUse(const TensorRef&)>& use);

/// Shares the frozen weights of the base's layers out and says what that takes. Returns what
/// LoadOptions::rows_elsewhere needs. Errors: as RankGroup's.
std::function<RowSource(const TensorRef&)> rows_of_shared_base(
    const std::shared_ptr<const Checkpoint>& checkpoint,
    const std::function<TensorUse(const TensorRef&)>& use, const RankGroup& ranks);

}  // namespace lowrank
