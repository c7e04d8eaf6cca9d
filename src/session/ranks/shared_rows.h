#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// Rows that several ranks train on, tokenised once per machine: the lowest rank of those that keep tokenised
/// rows in the same folder reads them into it, and the others wait for that and map its file. Ranks on other
/// machines, with other folders, or with rows of which no file is kept, each read all of them.
class RowReaders {
 public:
  /// Finds out who shares this rank's folder; empty: it keeps none. All ranks call it. Errors: io when
  /// another rank has ended.
  RowReaders(const std::optional<RankGroup>& ranks, const std::filesystem::path& folder);

  /// What `load` gives, which loads rows by `load_dataset`; where the rows are `kept` in the folder, after
  /// the call of the folder's lowest rank. `what`: "training", or what else tells the calls of a run apart.
  /// Errors: those of `load`, which the other ranks meet by themselves; io when another rank has ended.
  Dataset load(const std::string& what, bool kept, const std::function<Dataset()>& load) const;

 private:
  std::optional<RankGroup> ranks_;
  int64_t first_ = 0;  ///< the lowest rank with this folder
};

}  // namespace lowrank
