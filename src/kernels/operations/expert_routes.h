#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// The experts that tokens use (Shazeer et al. 2017, arXiv 1701.06538), as (token, expert) pairs: k for each
/// of T tokens, sorted by expert and then by token.
struct ExpertRoutes {
  at::Tensor weights;           ///< [T, k] of a token's experts, differentiable in the logits
  at::Tensor tokens;            ///< int64 [T k] the token of each pair, on the CPU
  at::Tensor places;            ///< int64 [T k] where the pairs of token 0 stand, then those of token 1, ...
  std::vector<int64_t> counts;  ///< [experts] pairs of each expert
};

/// p = softmax(logits [T, experts]); a token uses its k = `used` most probable experts with weights p,
/// divided by their sum if `normalised`. Which experts are chosen has no gradient.
ExpertRoutes expert_routes(const at::Tensor& logits, int64_t used, bool normalised);

/// The sum of each token's rows times its weights, [T, d] in the weights' type, from the rows [T k, d] of the
/// pairs.
at::Tensor weighted_sum(const at::Tensor& rows, const ExpertRoutes& routes);

}  // namespace lowrank
