#include "infer/continuation.h"

#include <algorithm>
#include <numeric>

namespace lowrank {

Continuation::Continuation(const Tokenizer& tokenizer, std::vector<int64_t> prompt,
                           const SamplingOptions& sampling, uint64_t stream, ContinuationEnd end)
    : tokenizer_(&tokenizer),
      tokens_(std::move(prompt)),
      prompt_(std::ssize(tokens_)),
      sampling_(sampling),
      end_(std::move(end)),
      random_(static_cast<uint64_t>(sampling.seed), stream),
      text_(tokenizer, end_.stop),
      done_(end_.max_new_tokens <= 0) {}

bool Continuation::is_end(int64_t id) const {
  return tokenizer_->ends_generation(id) || std::ranges::find(end_.tokens, id) != end_.tokens.end();
}

std::string Continuation::take(std::span<float> logits) {
  const int64_t id = sample(logits, tokens_, sampling_, random_);
  if (!end_.ignore_eos && is_end(id)) {
    ended_ = done_ = true;
    return {};
  }
  tokens_.push_back(id);
  std::string piece = text_.add(id);
  ended_ = text_.stopped();
  done_ = ended_ || generated() == end_.max_new_tokens || size() >= end_.room;
  return piece;
}

Front front_of(const Hooks& hooks, int64_t length, int64_t adapter) {
  Batch alone{std::vector<int64_t>(length, 0),
              std::vector<int64_t>(length),
              {0, length},
              {},
              {0},
              {},
              {},
              {},
              {adapter}};
  std::iota(alone.positions.begin(), alone.positions.end(), 0);
  hooks.layout(alone);
  return {alone.positions.back() + 1 - length, alone.token_count() - length};
}

}  // namespace lowrank
