#pragma once

#include <cstdint>

namespace lowrank {

/// Of what logits x [V] the cross-entropy is one, and with which distribution p: x_i = cap tanh(logit_i /
/// cap) if cap > 0, else the logits; p = (1 - smoothing) onehot(target) + smoothing / V.
struct SoftmaxLossForm {
  float cap = 0, smoothing = 0;
};

/// For rows [begin, end) of logits [N, V], writes log sum_j exp(x_j) - sum_j p_j x_j to `nll`; with `slopes`
/// each row is replaced by its gradient by the logits, of which that by x is softmax(x) - p. bf16 values are
/// given as their bits; sums are f32.
void softmax_loss_cpu(void* logits, const int64_t* targets, float* nll, int64_t width, bool slopes, bool bf16,
                      SoftmaxLossForm form, int64_t begin, int64_t end);

}  // namespace lowrank
