#include "data/compared/whole_text.h"

#include <algorithm>

namespace lowrank {

WholeText encode_whole(const Tokenizer& tokenizer, std::string_view text, int64_t most) {
  const TokenizerSpec& spec = tokenizer.spec();
  TokenSink sink(most);
  tokenizer.encode(text, false, sink);
  WholeText whole;
  whole.length = sink.count() + std::ssize(spec.prefix) + std::ssize(spec.suffix);
  whole.ids = std::move(sink.ids);
  whole.ids.insert(whole.ids.begin(), spec.prefix.begin(), spec.prefix.end());
  whole.ids.insert(whole.ids.end(), spec.suffix.begin(), spec.suffix.end());
  cut_text(whole.ids, most, tokenizer);
  return whole;
}

void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer) {
  const std::vector<int64_t>& end = tokenizer.spec().suffix;
  if (static_cast<int64_t>(tokens.size()) <= max_length) return;
  tokens.resize(std::max<int64_t>(0, max_length - std::ssize(end)));
  tokens.insert(tokens.end(), end.begin(), end.end());
}

}  // namespace lowrank
