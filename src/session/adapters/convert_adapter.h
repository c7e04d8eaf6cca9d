#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "peft/conversion/as_low_rank.h"
#include "session/merge_check.h"

namespace lowrank {

/// Where a LoRA made from something else goes.
struct LowRankOutput {
  std::string path = {};        ///< a folder, or FILE.gguf; nothing may be there
  std::string format = "auto";  ///< peft, gguf; auto: by the path
  bool check = true;            ///< compare logits
  std::optional<int64_t> rank = {};
  std::optional<double> energy = {};

  /// The options, without the path.
  std::vector<Field> fields();
  RankChoice choice() const { return {rank, energy}; }
  bool writes_file() const;
};

/// Errors: invalid when something is at the path, or the path does not fit the format.
void check_output(const LowRankOutput& output);

/// Writes the adapter as the output asks; returns the size of its tensors in bytes. A folder also gets the
/// chat template of the adapter at `converted`, if that has one (empty: none). Errors: as write_gguf_lora and
/// write_adapter; io.
int64_t write_low_rank(const LowRankOutput& output, const Checkpoint& base, const Adapter& adapter,
                       const std::string& model, const std::string& converted = "");

struct ConvertAdapterOptions {
  std::string model, adapter;
  LowRankOutput output;
};

struct ConvertedAdapter {
  std::string method;  ///< of the adapter that was converted
  std::vector<FittedModule> modules = {};
  std::vector<std::string> whole = {};  ///< tensors that both adapters hold in full
  int64_t bytes = 0;
  int64_t bytes_before = 0;                        ///< of the other adapter's tensors
  std::optional<ModelDifference> difference = {};  ///< of the logits with each of the two; with `check`
  std::optional<ModelDifference> effect = {};      ///< of the base's logits and those with the adapter
};

/// Writes an adapter of any method that changes weights as a LoRA. Errors: as load_adapter,
/// convert_to_low_rank, check_output and write_low_rank.
ConvertedAdapter convert_adapter(const ConvertAdapterOptions& options);

}  // namespace lowrank
