#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

using Activation = at::Tensor (*)(const at::Tensor&);

/// The names of the bottlenecks' non-linearities, as in transformers and AdapterHub.
std::vector<std::string> activation_names();

/// The function of that name. Errors: unsupported, with the known names.
Activation activation_named(std::string_view name);

}  // namespace lowrank
