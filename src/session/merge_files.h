#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "peft/merge/merge.h"
#include "session/merge_check.h"

namespace lowrank {

/// A base and an adapter that become one model.
struct MergeOptions {
  MergeCheckOptions files;  ///< `merged`: a folder, or FILE.gguf from a GGUF base; neither may hold anything
  std::string merged_type = "auto";  ///< see the program's help
  bool check = true;                 ///< compare the written model with base and adapter

  /// The options, without the three paths.
  std::vector<Field> fields();
};

struct MergedFiles {
  MergeResult result;
  std::optional<MergeComparison> comparison;  ///< with `check`
};

/// Writes base and adapter as one model to `options.files.merged`, without comparing. Errors: as
/// merge_to_folder and merge_to_gguf.
MergeResult write_merged(const Checkpoint& base, const Adapter& adapter, const MergeOptions& options);

/// Writes the merged model. When the comparison fails, what was written is removed. Errors: as
/// merge_to_folder, merge_to_gguf and compare_merged; invalid when the merged model's logits differ too much
/// from those of base and adapter, unless `merged_type` forces block formats (then a warning).
MergedFiles merge_files(MergeOptions options);

}  // namespace lowrank
