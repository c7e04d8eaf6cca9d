#pragma once

#include <optional>
#include <span>

#include <ATen/core/Tensor.h>

#include "kernels/operations/attention.h"

namespace lowrank {

/// The attention of `attention` (same operands, same result) by one call of libtorch's flash attention for
/// sequences of different lengths, differentiable; nullopt where that computes something else: for other
/// types than bf16 and f16, head sizes above 256 or no multiples of 8, capped scores, and plans with a query
/// run whose visible keys, put behind each other, do not end at its own positions. What it must know of a
/// plan is sent to the device once, at the first layer, and kept with the plan. Dao 2023, arXiv 2307.08691.
std::optional<at::Tensor> flash_attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                          const AttentionPlan& plan, const AttentionShape& shape);

}  // namespace lowrank
