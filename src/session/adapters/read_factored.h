#pragma once

#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "peft/algebra/factored_adapter.h"

namespace lowrank {

/// Adapters as updates of single weights: PEFT's LORA folders without a base; everything else that has a
/// low-rank form and no more (GGUF LoRA, mlx-lm, other methods that are stored differently) with one. `base`
/// may be nullptr. Errors: as load_adapter and factors_of; invalid where a base is needed and missing.
FactoredAdapter read_factored(const std::string& path, const Checkpoint* base);

/// An adapter with the name that messages use.
struct NamedPath {
  std::string name, path;
};

/// Splits NAME=PATH; a path alone has the name of its last part.
NamedPath named_path(const std::string& given);

}  // namespace lowrank
