#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// A range of the flat parameter buffer with its own learning rate and decay.
struct AdamWGroup {
  int64_t begin, end;
  double learning_rate;
  double weight_decay;
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// One AdamW step (Loshchilov and Hutter 2019, arXiv 1711.05101) over flat f32 buffers, in PyTorch's form:
///   p -= lr wd p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t)
///   + epsilon)
/// with g = gradient * factor. One pass. `step` counts from 1.
void adamw_step(at::Tensor& parameters, const at::Tensor& gradient, at::Tensor& m, at::Tensor& v,
                std::span<const AdamWGroup> groups, const AdamWOptions& options, int64_t step, double factor);

/// The same from plain operations, of any floating type, on any device.
void adamw_step_reference(at::Tensor& parameters, const at::Tensor& gradient, at::Tensor& m, at::Tensor& v,
                          std::span<const AdamWGroup> groups, const AdamWOptions& options, int64_t step,
                          double factor);

/// Sum of squares of a flat f32 tensor, summed in f64 in an order that does not depend on the number of
/// threads (on the CPU). NaN or infinite if the tensor contains such a value.
double squared_norm(const at::Tensor& flat);

}  // namespace lowrank
