#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/examples/example_store.h"
#include "data/order/left_out_rows.h"
#include "data/read_row.h"

namespace lowrank {

struct Dataset {
  ExampleStore examples;
  std::vector<int64_t> sources;  ///< how many of the examples are of each pattern, in order
  LeftOutRows left_out;          ///< the skipped and dropped rows; none in parts of a data set
  int64_t truncated = 0;         ///< rows cut to max_length, still with targets
  int64_t dropped = 0;           ///< rows longer than max_length that are left out
  int64_t skipped = 0;           ///< rows without any target, because of the cut or from the start
  int64_t cut_off = 0;           ///< of the skipped ones, those longer than max_length
  int64_t cut_tokens = 0;        ///< of the cut rows, before the cut
  int64_t lost_tokens = 0;       ///< of these, how many were cut off
  std::vector<std::string> truncated_rows, dropped_rows,
      skipped_rows;  ///< file and line of the first hundred of each
  RowNotes notes;
  ChatNotes chat_notes;        ///< of rows that are conversations
  std::string format;          ///< of the rows, as the option `format` names it; of the first conversations
  bool conversations = false;  ///< there are rows that are conversations
  bool in_array = false;       ///< there are elements of arrays: `Example::line` is their number
  /// Of the first conversation: the source of its chat template, and what ends an answer beside the
  /// tokenizer's end tokens.
  std::string chat_template;
  std::vector<int64_t> end_tokens;

  int64_t tokens() const { return examples.token_count(); }
  /// Likely mistakes in the rows, a sentence for each.
  std::vector<std::string> warnings() const;
};

/// Reads and tokenises the files that the patterns name, or takes what an earlier run made of them from the
/// cache, which says the same. The rows of each pattern have one format. `tokenizer` may be null if the rows
/// are already tokenised. Errors: as read_rows; invalid if no row of a pattern has a target (one is shown),
/// an id is outside `vocabulary`, a row is too long for `on_long` error, or `train_on` asks for what the rows
/// do not have.
Dataset load_dataset(std::span<const std::string> patterns, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);
Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);

}  // namespace lowrank
