#pragma once

#include <cstdint>

#include "model/decoder_config.h"

namespace lowrank {

/// A gated short convolution (LFM2, Liquid AI 2025, arXiv 2511.23404): [B | C | u] = in_proj x;
/// out_proj(C * conv(B * u)), `conv` depthwise and causal over `taps` rows. Its parts are named `conv.*`
/// (GGUF `shortconv.*`); `bias`: all three have one. The state is the last taps - 1 rows of B * u.
MixerKind short_convolution(int64_t hidden, int64_t taps, bool bias);

}  // namespace lowrank
