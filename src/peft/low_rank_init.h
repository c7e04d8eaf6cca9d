#pragma once

#include <cstdint>
#include <string_view>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace lowrank {

/// A CPU generator of libtorch, so that the same seed gives the values that PEFT draws after
/// torch.manual_seed(seed).
at::Generator seeded_generator(uint64_t seed);

/// Fills the factors A [r, in] and B [out, r] of one module in PEFT's order of draws: both as linear layers
/// start (U(-1/sqrt(columns), 1/sqrt(columns))), then A again by `init`: "true" U(-1/sqrt(in), 1/sqrt(in))
/// and B zero, "gaussian" N(0, 1/r) and B zero, "false" as drawn at first.
void initialise_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                        at::Generator& generator);

}  // namespace lowrank
