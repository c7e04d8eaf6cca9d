// lowrank merge: writes the base model with an adapter in its weights, and compares the two.
#include "peft/merge.h"

#include <algorithm>
#include <iostream>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/sub.h>

#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/staged_folder.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/session.h"
#include "cli/training_results.h"
#include "peft/adapter_labels.h"

namespace lowrank {
namespace {

struct Options {
  std::string model, adapter, output, merged_type = "auto";
  bool check = true, json = false;
};

/// One sequence of ids drawn from the whole vocabulary.
Batch probe(const ModelSpec& spec) {
  constexpr int64_t length = 64;
  Batch batch;
  Philox random(0);
  batch.offsets = {0, std::min(length, spec.max_positions)};
  for (int64_t i = 0; i < batch.offsets.back(); ++i) {
    batch.tokens.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(spec.vocabulary_size))));
    batch.positions.push_back(i);
  }
  batch.examples = {0};
  return batch;
}

at::Tensor logits_of(const SessionOptions& options, const std::string& adapter) {
  const at::NoGradGuard no_grad;
  const Session session = open_session(options, adapter);
  Batch batch = probe(session.checkpoint->spec());
  session.hooks().layout(batch);
  if (session.checkpoint->spec().labels) return sequence_scores(*session.model, {&batch}, session.hooks());
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < batch.rows(); ++row) rows.push_back(row);
  return batch_logits(*session.model, {&batch}, session.hooks(), rows, nullptr);
}

/// Largest difference between the logits of the written model and those of base and adapter, both in f32.
double largest_difference(const Options& options) {
  SessionOptions unmerged;
  unmerged.model = options.model;
  unmerged.dtype = "f32";
  SessionOptions merged = unmerged;
  merged.model = options.output;
  return at::max(at::abs(at::sub(logits_of(merged, ""), logits_of(unmerged, options.adapter))))
      .item<double>();
}

constexpr DType written_types[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                   DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1};

std::optional<DType> type_of(const std::string& name) {
  if (name == "auto") return std::nullopt;
  for (const DType type : written_types) {
    std::string lower(info_of(type).name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower == name) return type;
  }
  fail(ErrorKind::invalid, "--merged-type '{}' is not known", name);
}

MergeResult merge(const Checkpoint& checkpoint, const Adapter& adapter, const Options& options) {
  const std::optional<DType> type = type_of(options.merged_type);
  if (options.output.ends_with(".gguf")) return merge_to_gguf(checkpoint, adapter, type, options.output);
  return merge_to_folder(checkpoint, adapter, type, options.output);
}

int run(const std::vector<std::string>& arguments) {
  Options options;
  Arguments parser(
      "merge",
      "writes the base model with an adapter in its weights, as a Hugging Face folder or a GGUF file");
  parser.add(
      {field("model", options.model, "Hugging Face folder or GGUF file"),
       field("adapter", options.adapter, adapter_help),
       field("output", options.output, "folder, or FILE.gguf from a GGUF base; it must not exist"),
       one_of(field("merged_type", options.merged_type,
                    "auto: each tensor's own; in a folder f32 for quantised ones, in a GGUF file q8_0 for "
                    "those that cannot be written"),
              {"auto", "f32", "bf16", "f16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"}),
       field("check", options.check, "compare the written model with base and adapter"),
       field("json", options.json, "the result as JSON on standard output")});
  if (!parser.parse(arguments)) return 0;
  require({{"--model", &options.model}, {"--adapter", &options.adapter}, {"--output", &options.output}});
  options.output = without_slash(options.output).string();
  const auto checkpoint = Checkpoint::open(options.model, read_adapter_labels(options.adapter));
  const Adapter adapter = load_adapter(options.adapter, *checkpoint);
  const MergeResult result = merge(*checkpoint, adapter, options);
  info("{}: {} of {} tensors changed, {} bytes{}", options.output, result.changed, result.tensors,
       result.bytes, result.untied ? "; the head is no longer tied to the embedding" : "");
  nlohmann::ordered_json out = {
      {"changed", result.changed}, {"tensors", result.tensors}, {"bytes", result.bytes}};
  tell_left_out(result, options.model);
  if (options.check) {
    out["largest_logit_difference"] = largest_difference(options);
    info("largest logit difference against the unmerged model (f32): {:.2e}{}",
         out["largest_logit_difference"].get<double>(),
         result.requantised > 0 ? fmt::format("; {} changed tensors were rounded to blocks again (q8_0 keeps "
                                              "more of an adapter than 4 bits do)",
                                              result.requantised)
                                : "");
  }
  if (options.json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo merge_command;
const CommandInfo merge_command{"merge", "writes the base model with an adapter in its weights", run};

}  // namespace lowrank
