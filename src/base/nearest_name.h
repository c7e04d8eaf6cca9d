#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lowrank {

/// The entry of `known` that `wrong` was most likely meant to be, for "did you mean" in an error; nothing
/// when none is near. Distance: insertions, deletions, replacements and swaps of neighbours (optimal string
/// alignment), with '-' equal to '_' and letters of either case equal. Near: at most a third of the longer
/// name, at least 1. The first of equals wins.
std::optional<std::string> nearest_name(std::string_view wrong, std::span<const std::string> known);

}  // namespace lowrank
