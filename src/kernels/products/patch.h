#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/operations/dropout.h"

namespace lowrank {

/// A linear map M [n, n] of vectors. Both functions take rows [T, n] of any floating type, map each, and are
/// differentiable in the rows and in the map's parameters.
struct LinearMap {
  std::function<at::Tensor(const at::Tensor&)> apply;       ///< M v for each row v
  std::function<at::Tensor(const at::Tensor&)> transposed;  ///< M^T v for each row v
  int64_t macs = 0;                                         ///< multiply-adds per vector

  explicit operator bool() const { return static_cast<bool>(apply); }
};

/// A change U(W) of the frozen rows that a patch covers, computed in blocks of rows, so that no more than a
/// block of W is ever expanded.
struct WeightUpdate {
  /// Rows [begin, end) of U, counted from the patch's first row: from those rows of W [end - begin, in] and
  /// the parameters alone, in the parameters' type; differentiable in the parameters.
  std::function<at::Tensor(const at::Tensor& w, const std::vector<at::Tensor>& parameters, int64_t begin,
                           int64_t end)>
      rows;
  std::vector<at::Tensor> parameters;
  int64_t group = 1;  ///< rows that must be computed together: begin and end are multiples of it

  explicit operator bool() const { return static_cast<bool>(rows); }
};

/// What a method adds to rows [begin, end) of a product y = W x + b, for tokens [first_token, end_token):
///   y = g * M_o(W M_i(l * x) + b) + s B (A drop(x)) + U(W) drop(x) + c + f(x), any subset of these terms;
/// undefined tensors are absent. With `scales_bias` off, y = W x + b + (g - 1) * W drop(x) + ...: g never
/// touches b, nor what dropout removes (then there are no maps).
struct Patch {
  at::Tensor in_scale;   ///< l, [in]
  at::Tensor A;          ///< [r, in], f32
  at::Tensor B;          ///< [end - begin, r], f32
  at::Tensor out_scale;  ///< g, [end - begin]
  at::Tensor bias;       ///< c, [end - begin]
  double scale = 1;      ///< s
  int64_t begin = 0, end = 0;
  Dropout dropout = {};
  bool scales_bias = true;
  /// f: [T, in] -> [T, end - begin], differentiable.
  std::function<at::Tensor(const at::Tensor&)> branch = {};
  bool branch_is_linear = false;  ///< f(x) = F x
  int64_t branch_macs = 0;        ///< of f, per token
  LinearMap in_map = {};          ///< M_i
  LinearMap out_map = {};         ///< M_o
  WeightUpdate update = {};       ///< U
  int64_t first_token = 0, end_token = all_tokens;
  /// s B^T [r, end - begin], contiguous, if it was computed beforehand for passes without gradient.
  at::Tensor scaled_b = {};

  static constexpr int64_t all_tokens = INT64_MAX;
};

/// True if the patch is for all tokens.
bool is_for_all_tokens(const Patch& patch);

/// True if the patch leaves W x + b as it is and only adds terms to it: such patches can share rows and
/// tokens.
bool only_adds(const Patch& patch);

/// True if the patch is s B (A drop(x)) alone.
bool only_factors(const Patch& patch);

/// Multiply-adds per token that the patch takes besides the product's own.
int64_t macs_per_token(const Patch& patch);

/// About how many values per token the backward pass through the patch reads, besides the product's input of
/// `in` values, which is kept anyway.
int64_t kept_values(const Patch& patch, int64_t in);

}  // namespace lowrank
