#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// Whether a command has an option of this name.
using KnownOption = std::function<bool(std::string_view)>;

/// Our name for an option that other programs (PEFT, transformers, TRL, mlx-lm, axolotl, llama.cpp) call
/// `name`, with dashes or underscores: the first of ours that is `known`. nullopt for other names.
std::optional<std::string> own_name(std::string_view name, const KnownOption& known);

/// The same where both options mean the same for every value, so that theirs can stand for ours.
std::optional<std::string> same_option(std::string_view name, const KnownOption& known);

/// What is different about an option of theirs that has no such counterpart, as a sentence; nullopt for
/// others.
std::optional<std::string> difference_of(std::string_view name, const KnownOption& known);

/// The names of theirs that stand for an option of ours in a command.
std::vector<std::string> other_names(std::string_view option, const KnownOption& known);

}  // namespace lowrank
