#pragma once

#include <cstdint>

namespace lowrank {

/// Rows of add_rms_norm's forward pass; bf16 values are given as their bits. `branch` may be null.
struct RmsNormForward {
  const float* stream;
  const void* branch;
  const float* weight;
  float* sum;      ///< [T, d]; not written without a branch
  void* normed;    ///< [T, d]
  float* inverse;  ///< [T], 1 / sqrt(mean(sum^2) + epsilon) of each row
  int64_t columns;
  float epsilon;
  bool branch_bf16, normed_bf16;
};

/// Rows of its backward pass: dx = d_sum + inverse (d_normed weight - n mean(d_normed normed)) with n =
/// normed / weight. `d_sum` may be null.
struct RmsNormBackward {
  const void* normed;       ///< from the forward pass
  const float* inverse;     ///< from the forward pass
  const float* weight;      ///< without zeros
  const float* reciprocal;  ///< 1 / weight
  const void* d_normed;
  const float* d_sum;
  float* d_stream;
  uint16_t* d_branch;  ///< bf16 copy of d_stream, or null
  int64_t columns;
  bool normed_bf16;
};

/// What head_norm's passes share; bf16 values are given as their bits.
struct HeadNorm {
  const void* qkv;  ///< [T, columns]
  const float* query_weight;
  const float* key_weight;
  int64_t columns, heads, kv_heads, head_dim;
  float epsilon;
  bool bf16;
};

/// Rows of head_norm's forward pass. Columns behind the query and key heads are copied.
struct HeadNormForward {
  HeadNorm norm;
  void* out;  ///< [T, columns]
};

/// Rows of its backward pass, which computes the heads' norms again.
struct HeadNormBackward {
  HeadNorm norm;
  const void* d_out;  ///< [T, columns]
  void* d_qkv;        ///< [T, columns]
};

}  // namespace lowrank
