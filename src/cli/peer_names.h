#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// Our name for an option that other programs (PEFT, transformers, TRL, mlx-lm, axolotl, llama.cpp) call
/// `name`, with dashes or underscores: the first of ours that is `known`. nullopt for other names.
std::optional<std::string> own_name(std::string_view name,
                                    const std::function<bool(std::string_view)>& known);

}  // namespace lowrank
