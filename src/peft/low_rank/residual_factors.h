#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "peft/low_rank/low_rank_method.h"

namespace lowrank {

/// Factors A0 [r, in] and B0 [out, r] that a method subtracts from a weight.
struct StartFactors {
  at::Tensor a, b;
};

/// A method whose factors are initialised from the weight itself and subtracted from it: W' = W - s B0 A0 + s
/// B A. `start`: A0 and B0 of W [out, in] with rank r and scaling s; it must be deterministic, as it is
/// computed again when a file that names its initialisation is loaded. The base stays unchanged: the update
/// has factors [A; A0] and [B, -B0], and it is written in this form, as a plain LORA adapter of twice the
/// rank that needs no second decomposition.
std::unique_ptr<Method> make_residual_method(
    LowRankVariant variant,
    std::function<StartFactors(const at::Tensor& weight, int64_t rank, double scale)> start);

}  // namespace lowrank
