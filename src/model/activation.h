#pragma once

#include <string_view>

#include <ATen/core/Tensor.h>

#include "model/config_reader.h"

namespace lowrank {

/// The function in an MLP: x / (1 + exp(-x)), GELU exact or in its tanh form (Hendrycks and Gimpel 2016,
/// arXiv 1606.08415), max(x, 0).
enum class Activation { silu, gelu, gelu_tanh, relu };

/// The function that a configuration names at `key`, as Hugging Face calls it. Errors: invalid for others.
Activation read_activation(const ConfigReader& read, std::string_view key, std::string_view fallback);

/// The function, applied to each value.
at::Tensor activated(const at::Tensor& x, Activation activation);

}  // namespace lowrank
