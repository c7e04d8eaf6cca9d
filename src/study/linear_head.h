#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// scores = x W + b on fixed features x.
struct LinearHead {
  at::Tensor weight;  ///< [d, outputs] f32
  at::Tensor bias;    ///< [outputs]

  /// [N, d] -> [N, outputs].
  at::Tensor scores(const at::Tensor& rows) const;
};

/// How a head for classes is trained: AdamW over all rows at once, its rate decaying to zero along a cosine.
struct LinearHeadOptions {
  double penalty = 0.1;  ///< l in the loss
  int64_t steps = 500;
  double learning_rate = 0.05;
};

/// Minimises mean(cross-entropy) + l/2 |W|^2 from zero: convex, and invariant under rotation of the rows.
/// rows [N, d] f32, classes int64 [N] in [0, outputs). Bit-identical for the same input on one machine.
LinearHead fit_classes(const at::Tensor& rows, const at::Tensor& classes, int64_t outputs,
                       const LinearHeadOptions& options);

/// Minimises mean((x W + b - value)^2) + l |W|^2 in closed form, in f64: W = (X'X / N + l I)^-1 X'y / N for
/// centred X and y. rows [N, d] f32, values f32 [N]; penalty > 0.
LinearHead fit_values(const at::Tensor& rows, const at::Tensor& values, double penalty);

}  // namespace lowrank
