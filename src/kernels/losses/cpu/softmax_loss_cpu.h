#pragma once

#include <cstdint>

namespace lowrank {

/// For rows [begin, end) of logits [N, V], writes the negative log-likelihood of their targets, nll = log
/// sum_j exp(x_j) - x_t, to `nll`; with `slopes` each row is replaced by the gradient of its nll, softmax(x)
/// - onehot(t). cap > 0: x is cap tanh(logit / cap), and the gradient is the logits'. bf16 values are given
/// as their bits; sums are f32.
void softmax_loss_cpu(void* logits, const int64_t* targets, float* nll, int64_t width, bool slopes, bool bf16,
                      float cap, int64_t begin, int64_t end);

}  // namespace lowrank
