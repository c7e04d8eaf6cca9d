#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/conversion/extraction.h"
#include "session/adapters/convert_adapter.h"

namespace lowrank {

struct ExtractOptions {
  std::string model = {};  ///< the base
  std::string tuned = {};
  LowRankOutput output = {};
  std::vector<std::string> modules_to_save = {};
  std::string bias = "none";
  bool embeddings = false;

  /// The options, without paths.
  std::vector<Field> fields();
};

struct ExtractedAdapter {
  std::vector<FittedModule> modules = {};
  std::vector<std::string> whole = {};    ///< tensors stored in full
  std::vector<LeftDifference> left = {};  ///< what differs and is not in the adapter
  int64_t same = 0;                       ///< linear layers that do not differ
  int64_t bytes = 0;
  std::optional<ModelDifference> difference =
      {};  ///< between the tuned model and base with adapter; with `check`
  std::optional<ModelDifference> effect = {};  ///< between the tuned model and the base
};

/// Writes a LoRA that turns the base about into the tuned model. Errors: as Checkpoint::open,
/// extract_low_rank, check_output and write_low_rank.
ExtractedAdapter extract_adapter(const ExtractOptions& options);

}  // namespace lowrank
