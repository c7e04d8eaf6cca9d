#pragma once

#include <cstdint>
#include <vector>

#include "data/examples/example.h"

namespace lowrank {

/// What a batch asks the model to predict: tokens, or a label for each sequence.
struct Targets {
  std::vector<int64_t> rows;           ///< [N] packed row whose hidden state predicts the token
  std::vector<int64_t> tokens;         ///< [N] the token to predict
  std::vector<float> values;           ///< [S] for labelled sequences: class number, or value
  std::vector<float> weights;          ///< [N] or [S] factor of each target's term in the loss
  std::vector<int64_t> examples = {};  ///< [N] data set index of the example that has the target (several
                                       ///< examples may share a row); empty for labelled sequences
  std::vector<std::vector<int64_t>> classes = {};  ///< [S] for labelled sequences: the numbers of all classes
                                                   ///< of texts that may have several

  int64_t count() const { return static_cast<int64_t>(weights.size()); }
};

/// Sequences laid end to end, never padded. T tokens, S sequences.
struct Batch {
  std::vector<int64_t> tokens;     ///< [T] token ids; `virtual_token` for rows that a method fills in
  std::vector<int64_t> positions;  ///< [T] position of each token in its own sequence
  std::vector<int64_t> offsets;    ///< [S+1] first row of each sequence, then T
  Targets targets;
  std::vector<int64_t> examples;       ///< [S] index of each sequence in its data set
  std::vector<int64_t> prompt_rows;    ///< [S] rows before the completion; empty: all rows are prompt
  std::vector<int64_t> first_labels;   ///< [S] the first token if it is a target (only rows inserted before
                                       ///< it can predict it), else `no_target`; empty: none is
  std::vector<int64_t> parents = {};   ///< [S] the earlier sequence that each one continues, whose rows (and
                                       ///< those that it continues in turn) precede its own, or
                                       ///< `no_parent`; empty: none does
  std::vector<int64_t> adapters = {};  ///< [S] index of each sequence's adapter in a bank, or `no_adapter`;
                                       ///< empty: none has one
  std::vector<int64_t> type_one_tokens = {};  ///< [S] rows at the end of each sequence with token type 1;
                                              ///< empty: all rows have type 0

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return offsets.empty() ? 0 : static_cast<int64_t>(offsets.size()) - 1; }
};

/// The first row of each sequence, [S].
inline std::vector<int64_t> first_rows_of(const Batch& batch) {
  return {batch.offsets.begin(), batch.offsets.end() - 1};
}

/// The parent of a sequence that continues no other.
inline constexpr int64_t no_parent = -1;

/// The id of a row without a vocabulary token (such as a prompt-tuning row).
inline constexpr int64_t virtual_token = -1;

}  // namespace lowrank
