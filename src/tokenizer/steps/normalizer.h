#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// The changes that a tokenizer makes to a text before splitting it.
class Normalizer {
 public:
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  bool changes_nothing() const { return steps_.empty(); }

  /// `continues`: the text follows another one, so nothing is put in front of it.
  std::string apply(std::string_view text, bool continues) const;

 private:
  std::vector<NormalizerStep> steps_;
};

/// The text with all occurrences of the pattern replaced.
std::string replaced(std::string_view text, const Replace& replace);

}  // namespace lowrank
