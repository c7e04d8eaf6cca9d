#pragma once

#include <cstdint>

#include "kernels/operations/delta_rule.h"
#include "model/decoder_config.h"

namespace lowrank {

struct GatedDeltaNetSizes {
  int64_t hidden = 0;
  DeltaRuleShape heads;
  int64_t taps = 0;    ///< of the convolution
  double epsilon = 0;  ///< of the norm
};

/// Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464) as in Qwen 3.5: a causal convolution with silu over
/// q, k and v, then the gated delta rule with decay = -exp(A_log) softplus(a + dt_bias) and beta =
/// sigmoid(b), then out_proj(norm(o) * silu(z)), the norm over each value head. Its parts are named
/// `linear_attn.*`. The states are the last taps - 1 rows before the convolution, and the rule's.
MixerKind gated_delta_net(const GatedDeltaNetSizes& sizes);

}  // namespace lowrank
