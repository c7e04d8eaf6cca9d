#include "infer/decode_speed.h"

#include "base/error.h"
#include "base/process.h"
#include "infer/generate.h"

namespace lowrank {

double seconds_per_token(const Model& model, const InferenceHooks& hooks, const Tokenizer& tokenizer,
                         std::span<const int64_t> prompt, int64_t tokens) {
  check(tokens > 1, ErrorKind::invalid, "{} tokens: at least 2 are needed to time one", tokens);
  const std::vector<std::vector<int64_t>> prompts{{prompt.begin(), prompt.end()}};
  GenerationOptions options;
  options.ignore_eos = true;
  const auto seconds = [&](int64_t count) {
    options.max_new_tokens = count;
    const double started = monotonic_seconds();
    const auto made = generate(model, hooks, tokenizer, prompts, options);
    const double took = monotonic_seconds() - started;
    check(std::ssize(made.front().tokens) == count, ErrorKind::invalid,
          "{} tokens do not fit behind a prompt of {} in the model's context", count, prompt.size());
    return took;
  };
  const double first = seconds(1);
  return (seconds(tokens) - first) / static_cast<double>(tokens - 1);
}

}  // namespace lowrank
