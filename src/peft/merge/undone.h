#pragma once

#include <cstdint>
#include <memory>

#include "peft/files/adapter_file.h"

namespace lowrank {

/// What is lost where an adapter is taken out of a merged model again. Merging rounded W + D to the stored
/// type, M; M - D is rounded once more. Where the grid of M is no coarser than that of M - D, rounding M - D
/// restores a W of the same type, up to ties; elsewhere W's last bit is gone. Over the changed values that
/// are stored as F32, BF16 or F16.
struct UndoneRounding {
  int64_t values = 0;
  int64_t coarser = 0;  ///< those whose merged value lies on a coarser grid than the value left
  double largest = 0;   ///< bound on the difference from W: half a unit in the last place of M and of M - D
  int64_t others = 0;   ///< changed values in other types, without a bound
};

/// An adapter whose `merged` takes the given adapter out of a weight of the model `merged`. `rounding` counts
/// what is lost. Errors: unsupported, with the reason, when the method cannot be inverted; those of its
/// `merged` as Method::unmerged.
Adapter inverse_of(Adapter adapter, std::shared_ptr<const Checkpoint> merged,
                   std::shared_ptr<UndoneRounding> rounding);

}  // namespace lowrank
