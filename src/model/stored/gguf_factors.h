#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace lowrank {

/// Factors that GGUF files hold beside matrices, as llama.cpp's converter writes them for NVFP4: `X.scale`
/// for `X.weight`, which is what its blocks say times the factor. Stacks of experts have one factor for each.
/// `X.input_scale` says how other programs round what the product reads; it changes no weight.

/// The name of the tensor with the factors of a matrix, `X.scale`; empty for names that do not end in
/// .weight.
std::string name_of_factors(std::string_view matrix);

/// The factors beside the tensor `matrix`; none where the file has none. Errors: invalid, the tensor named,
/// for values that are not F32 or not finite.
std::vector<float> factors_beside(const GgufFile& file, std::string_view matrix);

/// The matrix that a tensor named `X.scale` or `X.input_scale` stands beside; empty for other names, and
/// where the file has no `X.weight`.
std::string matrix_of_factors(const GgufFile& file, std::string_view name);

/// Whether the tensor of that name stands beside such a matrix. Errors: as `factors_beside`.
bool holds_factors(const GgufFile& file, std::string_view name);

}  // namespace lowrank
