#include "data/compared/compared_example.h"

#include <limits>

#include "base/error.h"
#include "data/compared/whole_text.h"

namespace lowrank {

Example encode_compared(const Tokenizer& tokenizer, const ComparedRow& row, const TextPrompts& prompts,
                        const std::string& where, int64_t max_length) {
  const int64_t most = max_length > 0 ? max_length : std::numeric_limits<int64_t>::max() / 2;
  Example example;
  example.label = row.score;
  int64_t length = 0;
  bool cut = false;
  for (size_t i = 0; i < row.texts.size(); ++i) {
    const WholeText text =
        encode_whole(tokenizer, (i == 0 ? prompts.query : prompts.document) + row.texts[i], most);
    check(!text.ids.empty(), ErrorKind::invalid, "{}: text {} of the row has no tokens", where, i + 1);
    example.tokens.insert(example.tokens.end(), text.ids.begin(), text.ids.end());
    example.labels.resize(example.tokens.size(), no_target);
    example.labels.back() = example.tokens.back();
    length += text.length;
    cut |= text.length > most;
  }
  if (cut) example.length = length;
  return example;
}

std::vector<int64_t> text_ends(const Example& example) {
  std::vector<int64_t> ends;
  for (size_t i = 0; i < example.labels.size(); ++i) {
    if (example.labels[i] != no_target) ends.push_back(static_cast<int64_t>(i) + 1);
  }
  return ends;
}

}  // namespace lowrank
