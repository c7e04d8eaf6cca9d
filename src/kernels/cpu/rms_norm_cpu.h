#pragma once

#include <cstdint>

namespace lowrank {

/// Rows [begin, end) of add_rms_norm's forward pass; bf16 values are given as their bits. `branch` may be
/// null.
struct RmsNormForward {
  const float* stream;
  const void* branch;
  const float* weight;
  float* sum;    ///< [T, d]; not written without a branch
  void* normed;  ///< [T, d]
  int64_t columns;
  float epsilon;
  bool branch_bf16, normed_bf16;
};
void rms_norm_forward_cpu(const RmsNormForward& op, int64_t begin, int64_t end);

/// Rows of the backward pass: dx = d_sum + inv (g - n mean(g n)) with n = x inv, g = d_normed weight,
/// inv = 1 / sqrt(mean(x^2) + epsilon). `d_sum` may be null.
struct RmsNormBackward {
  const float* x;  ///< stream after the addition
  const float* weight;
  const void* d_normed;
  const float* d_sum;
  float* d_stream;
  uint16_t* d_branch;  ///< bf16 copy of d_stream, or null
  int64_t columns;
  float epsilon;
  bool normed_bf16;
};
void rms_norm_backward_cpu(const RmsNormBackward& op, int64_t begin, int64_t end);

}  // namespace lowrank
