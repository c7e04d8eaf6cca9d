#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/engine/request.h"

namespace lowrank {

/// ln sum_i exp(logits_i), in f64; the logits are finite.
double log_sum_exp(std::span<const float> logits);

/// The log-probabilities of `token` and of the `top` likeliest tokens under softmax of the logits
/// [vocabulary]; ties go to the lower id.
ChosenToken log_probabilities(std::span<const float> logits, int64_t token, int64_t top);

}  // namespace lowrank
