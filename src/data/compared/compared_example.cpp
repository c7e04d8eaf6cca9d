#include "data/compared/compared_example.h"

#include <limits>

#include "data/compared/whole_text.h"

namespace lowrank {

Example encode_compared(const Tokenizer& tokenizer, const ComparedRow& row, const TextPrompts& prompts,
                        int64_t line, int64_t max_length) {
  const int64_t most = max_length > 0 ? max_length : std::numeric_limits<int64_t>::max() / 2;
  Example example;
  example.line = line;
  example.label = row.score;
  int64_t length = 0;
  bool cut = false;
  for (size_t i = 0; i < row.texts.size(); ++i) {
    const WholeText text =
        encode_whole(tokenizer, (i == 0 ? prompts.query : prompts.document) + row.texts[i], most);
    example.tokens.insert(example.tokens.end(), text.ids.begin(), text.ids.end());
    example.text_ends.push_back(std::ssize(example.tokens));
    length += text.length;
    cut |= text.length > most;
  }
  if (cut) example.length = length;
  return example;
}

}  // namespace lowrank
