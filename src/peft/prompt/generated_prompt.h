#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "base/rng.h"

namespace lowrank {

/// A prompt computed by an encoder, once per step. The passes use a detached copy; the gradient accumulated
/// there is propagated through the encoder once, regardless of the number of micro-batches.
class GeneratedPrompt {
 public:
  /// Once per step, before its passes.
  void begin_step(const std::function<at::Tensor()>& encode);
  /// The detached copy. Errors: invalid before the first step.
  const at::Tensor& value() const;
  /// Once per step, after the last backward pass.
  void end_backward();

 private:
  at::Tensor encoded_, leaf_;
};

/// A linear layer of an encoder, y = x W^T + b, initialised as torch.nn.Linear: both U(-1/sqrt(in),
/// 1/sqrt(in)).
struct EncoderLinear {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out]

  at::Tensor operator()(const at::Tensor& x) const;
  void initialise(Philox& random) const;
};

/// Fills a tensor with samples of U(-bound, bound) or N(0, 1).
void fill_uniform(const at::Tensor& tensor, double bound, Philox& random);
void fill_normal(const at::Tensor& tensor, Philox& random);

}  // namespace lowrank
