#pragma once

#include "kernels/operations/attention.h"
#include "model/decoder_config.h"

namespace lowrank {

/// Attention with a gate on its output (Qiu et al. 2025, arXiv 2505.06708) as in Qwen 3.5: `q_proj` has for
/// each head its query and then its gate; o_proj(attention * sigmoid(gate)). Queries and keys are normed by
/// head. Its parts are named `self_attn.*`; sizes, biases and the norms' epsilon and offset are those of
/// `decoder`.
MixerKind gated_attention(const DecoderConfig& decoder);

}  // namespace lowrank
