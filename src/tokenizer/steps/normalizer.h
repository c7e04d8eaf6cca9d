#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/steps/splitter.h"

namespace lowrank {

/// The changes that a tokenizer makes to a text before splitting it.
class Normalizer {
 public:
  /// Errors: as Splitter, for regular expressions; `where` names the file.
  Normalizer(std::vector<NormalizerStep> steps, const std::string& where);

  bool changes_nothing() const { return steps_.empty(); }

  /// `continues`: the text follows another one, so nothing is put in front of it.
  /// Errors: as Splitter.
  std::string apply(std::string_view text, bool continues) const;

 private:
  std::string after(size_t step, std::string_view text, bool continues) const;

  std::vector<NormalizerStep> steps_;
  std::vector<std::optional<Splitter>> patterns_;  ///< [steps] of those with a regular expression
};

/// The text with all occurrences of the pattern, which is no regular expression, replaced.
std::string replaced(std::string_view text, const Replace& replace);

}  // namespace lowrank
