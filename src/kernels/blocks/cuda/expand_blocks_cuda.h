#pragma once

#include <cstdint>

#include "kernels/tasks/block_tasks.h"

namespace lowrank {

/// As Kernel (kernels/tasks/kernel_table.h).
int expand_blocks_cuda(const ExpandBlocks& op, int64_t rows, void* queue);
int expand_nf4_cuda(const ExpandNf4& op, int64_t values, void* queue);

}  // namespace lowrank
