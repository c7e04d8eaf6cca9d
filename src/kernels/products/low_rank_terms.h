#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/patch.h"

namespace lowrank {

/// True if `add_low_rank_terms` can compute these patches: only factors, no dropout, no gradient needed, x
/// f32 or bf16 and the factors f32.
bool fits_low_rank_terms(const at::Tensor& x, const std::vector<Patch>& patches);

/// y [T, out] += s B (A x) for each patch's own rows and tokens, x [T, in], both contiguous: one pass for any
/// number of patches of any ranks. `Patch::scaled_b` saves copying B.
void add_low_rank_terms(const at::Tensor& x, const std::vector<Patch>& patches, at::Tensor& y);

}  // namespace lowrank
