#include "study/compare/generation_speed.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/staged_folder.h"
#include "infer/decode_speed.h"
#include "session/merge_files.h"

namespace lowrank {

double measured_latency(const Model& model, const InferenceHooks& hooks, const Tokenizer& tokenizer,
                        std::span<const int64_t> prompt, int64_t tokens) {
  std::array<double, 3> rounds{};
  seconds_per_token(model, hooks, tokenizer, prompt, tokens);
  for (double& round : rounds) {
    throw_if_interrupted();
    round = seconds_per_token(model, hooks, tokenizer, prompt, tokens);
  }
  std::ranges::sort(rounds);
  return rounds[1];
}

std::optional<double> merged_latency(const SessionOptions& options, const Checkpoint& base,
                                     const Adapter& adapter, std::span<const int64_t> prompt, int64_t tokens,
                                     const std::filesystem::path& beside, std::string& why) try {
  if (!adapter.parameters->options().device().is_cpu()) {
    const Adapter saved = load_adapter(beside.parent_path() / "adapter", base);
    return merged_latency(options, base, saved, prompt, tokens, beside, why);
  }
  const bool mergeable = std::ranges::any_of(
      base.spec().tensors, [&](const TensorRef& tensor) { return adapter.method->merges(tensor); });
  if (!mergeable) {
    why = adapter.method->why_not_merged();
    return std::nullopt;
  }
  const ScratchFolder scratch(beside);
  MergeOptions merge;
  merge.files.model = options.model;
  const bool gguf = std::filesystem::is_regular_file(options.model);
  merge.files.merged = (scratch.path() / (gguf ? "merged.gguf" : "merged")).string();
  write_merged(base, adapter, merge);
  SessionOptions merged = options;
  merged.model = merge.files.merged;
  const OpenSession session = open_session(merged, std::string());
  return measured_latency(*session.model, session.hooks(), load_tokenizer(merged.model), prompt, tokens);
} catch (const Error& error) {
  if (error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::io) throw;
  why = error.what();
  return std::nullopt;
}

}  // namespace lowrank
