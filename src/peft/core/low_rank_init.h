#pragma once

#include <cstdint>
#include <string_view>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace lowrank {

/// A libtorch CPU generator, so that the same seed gives the values that PEFT draws after
/// torch.manual_seed(seed).
at::Generator seeded_generator(uint64_t seed);

/// U(-1/sqrt(columns), 1/sqrt(columns)), the initialisation of torch's linear layers.
void uniform_by_columns(const at::Tensor& tensor, at::Generator& generator);

/// Fills the factors A [r, in] and B [out, r] of one module in PEFT's order of draws: both as linear layers
/// are initialised (U(-1/sqrt(columns), 1/sqrt(columns))), then again by `init`: "true" A U(-1/sqrt(in),
/// 1/sqrt(in)) and B zero, "gaussian" A N(0, 1/r) and B zero, "orthogonal" (r even) A = (N(in, r/2) Q_even)^T
/// / 10 and B = N(r/2, out)^T Q_odd / 10 with the even and the odd rows of an orthogonal Q [r, r], so that B
/// A = 0, "false" as first drawn.
void initialise_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                        at::Generator& generator);

/// The same for the factors A [r, V] and B [d, r] of an embedding, in PEFT's order of draws: both N(0, 1),
/// then, unless `init` is "false", A zero and B N(0, 1) again.
void initialise_embedding_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                                  at::Generator& generator);

}  // namespace lowrank
