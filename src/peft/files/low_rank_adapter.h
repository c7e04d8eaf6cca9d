#pragma once

#include <string>
#include <vector>

#include "peft/core/low_rank_form.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// What a LoRA adapter consists of.
struct LowRankParts {
  std::vector<LowRankUpdate> updates = {};        ///< at least one, of different modules
  bool tied = false;                              ///< a head tied to the embedding follows its update
  std::vector<std::string> modules_to_save = {};  ///< parts of the model held in full (`tensors_to_save`)
  std::string bias = "none";                      ///< the model's biases held in full (`biases_to_train`)
};

/// A LoRA adapter of these updates, whose factors are copied; what it holds in full has the base's values
/// (a label head is always held). Errors: as Method::plan of lora.
Adapter make_low_rank_adapter(const Checkpoint& base, const LowRankParts& parts);

}  // namespace lowrank
