#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/compared/whole_text.h"
#include "data/examples/example.h"
#include "data/labels.h"
#include "data/rows/rows.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// Counts of likely mistakes in the rows.
struct RowNotes {
  int64_t begun = 0;   ///< rows that already begin with the beginning token, which is not repeated
  int64_t closed = 0;  ///< rows that already end with an end token; no second one is added
  int64_t empty = 0;   ///< completions without text, which teach only the end token
  int64_t rows = 0;    ///< rows of text, the base of these counts

  /// Adds the counts of other rows.
  void add(const RowNotes& others);
  /// A sentence for each count above 0, except `rows`.
  std::vector<std::string> warnings() const;
};

/// Ids of a prompt as in training: the tokenizer's prefix (BOS, if it has one) and the text. The prefix is
/// not repeated if the text already begins with it.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt);

/// The example of one row: prompt and completion are tokenised separately and joined, EOS follows unless the
/// completion ends with an end token, and only the completion and the end are targets. In a `text` row every
/// token is a target. The first `max_length` tokens are kept (0: all). Adds to `notes`.
Example encode_row(const Tokenizer& tokenizer, const Row& row, int64_t max_length, RowNotes& notes);

/// The example of a labelled row: its text or its two texts with all special tokens, and its label or, where
/// a text may have several, its classes. At most `max_length` tokens (0: all); of two texts the longer one is
/// cut. Errors: as LabelSet::value_of and Tokenizer::encode_pair; invalid for a list of labels where each
/// text has one.
Example encode_labelled(const Tokenizer& tokenizer, const Row& row, const LabelSet& labels,
                        int64_t max_length);

}  // namespace lowrank
