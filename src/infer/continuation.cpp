#include "infer/continuation.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace lowrank {

std::vector<int64_t> end_tokens_of(const Tokenizer& tokenizer, const ContinuationEnd& end) {
  if (end.ignore_eos) return {};
  std::vector<int64_t> ids = tokenizer.spec().end_tokens;
  ids.insert(ids.end(), end.tokens.begin(), end.tokens.end());
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void exclude_ends(std::span<float> scores, std::span<const int64_t> ends) {
  for (const int64_t id : ends) {
    if (id >= 0 && id < std::ssize(scores)) scores[id] = -std::numeric_limits<float>::infinity();
  }
}

Continuation::Continuation(const Tokenizer& tokenizer, std::vector<int64_t> prompt,
                           const SamplingOptions& sampling, uint64_t stream, ContinuationEnd end)
    : tokens_(std::move(prompt)),
      prompt_(std::ssize(tokens_)),
      sampling_(sampling),
      end_(std::move(end)),
      end_tokens_(end_tokens_of(tokenizer, end_)),
      random_(static_cast<uint64_t>(sampling.seed), stream),
      text_(tokenizer, end_.stop),
      done_(end_.max_new_tokens <= 0) {}

std::string Continuation::take(std::span<float> logits) {
  if (generated() < end_.min_new_tokens) exclude_ends(logits, end_tokens_);
  const int64_t id = sample(logits, tokens_, sampling_, random_);
  if (std::ranges::binary_search(end_tokens_, id)) {
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

at::Tensor next_logits(const Model& model, const Hooks& hooks, Batch& batch, KvCache* cache) {
  hooks.layout(batch);
  std::vector<int64_t> last;
  for (int64_t s = 0; s < batch.sequences(); ++s) last.push_back(batch.offsets[s + 1] - 1);
  return batch_logits(model, {&batch}, hooks, last, cache).cpu().contiguous();
}

}  // namespace lowrank
