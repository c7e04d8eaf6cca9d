#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// Where a module stands in its model, as its name tells.
struct ModulePlace {
  std::string kind;              ///< what it is in each layer: `self_attn.q_proj`
  std::optional<int64_t> layer;  ///< nothing outside the layers
};

/// The first number in a dotted name is the layer's and what follows it the kind, with later numbers (an
/// expert's) as `*`: `model.layers.3.mlp.experts.7.up_proj` is `mlp.experts.*.up_proj` of layer 3. A name
/// without number is a kind of its own.
ModulePlace place_of(std::string_view module);

/// True when one of `names` is the module's name or a dotted end of it (`q_proj`, `layers.3.mlp.up_proj`);
/// without names always.
bool is_selected(std::string_view module, std::span<const std::string> names);

/// The modules of one kind, as places in the list that was divided.
struct ModuleKind {
  std::string kind;
  std::vector<size_t> members;
};

/// Divides modules by their kinds; the kinds are in the order in which they first appear.
std::vector<ModuleKind> kinds_of(const std::vector<ModulePlace>& places);

/// Modules in words, by kind: "30 x self_attn.k_proj, lm_head".
std::string words_for_modules(const std::vector<std::string>& modules);

/// At most `most` of the members, the first and the last among them, evenly spread between.
std::vector<size_t> spread_members(const std::vector<size_t>& members, size_t most);

}  // namespace lowrank
