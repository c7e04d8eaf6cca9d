#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

using Activation = at::Tensor (*)(const at::Tensor&);

/// The names of the non-linearities of bottlenecks, as transformers and AdapterHub call them.
std::vector<std::string> activation_names();

/// The function of that name. Errors: unsupported, with the known names.
Activation activation_named(std::string_view name);

}  // namespace lowrank
