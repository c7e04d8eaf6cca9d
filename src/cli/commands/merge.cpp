// lowrank merge: writes the base model with an adapter merged into its weights, and checks the result.
#include <algorithm>
#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/merge_files.h"
#include "session/places.h"
#include "session/session.h"
#include "session/training_results.h"

namespace lowrank {
namespace {

std::string percent(double share) {
  return fmt::format("{:.{}f} %", 100 * share, share < 0.1 || share > 0.99 ? 1 : 0);
}

/// "180 Q8_0, 30 F16"
std::string counted(const std::map<std::string, int64_t>& types) {
  std::string text;
  for (const auto& [name, count] : types)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return text;
}

void report(const MergeResult& result, const std::string& output) {
  info("{}: {} of {} tensors changed, {} bytes{}", output, result.changed, result.tensors, result.bytes,
       result.untied ? "; the head is no longer tied to the embedding" : "");
  const double kept = result.kept.share();
  info("changed tensors: {}, which keep {} of the update{}", counted(result.types), percent(kept),
       result.raised > 0
           ? fmt::format(
                 " ({} of them would lose too much in their own blocks; --merged-type own keeps those)",
                 result.raised)
           : "");
  if (kept >= enough_kept) return;
  const bool blocks = result.requantised > 0;
  warn("rounding loses {} of what the adapter learned; --merged-type {} keeps more",
       percent(std::clamp(1 - kept, 0.0, 1.0)), blocks ? "q8_0" : "f32");
}

void report(const MergeComparison& comparison) {
  info("largest logit difference against the unmerged model (f32): {:.2e}", comparison.largest_difference);
  if (!comparison.losses) return;
  const ProbeLosses& losses = *comparison.losses;
  info("loss on {}: {}{:.4f} with the adapter, {:.4f} merged", losses.rows,
       losses.base ? fmt::format("{:.4f} base, ", *losses.base) : "", losses.adapter, losses.merged);
}

nlohmann::ordered_json figures(const MergeResult& result) {
  return {{"changed", result.changed}, {"tensors", result.tensors}, {"bytes", result.bytes},
          {"types", result.types},     {"raised", result.raised},   {"update_kept", result.kept.share()}};
}

void add_figures(nlohmann::ordered_json& out, const MergeComparison& comparison) {
  out["largest_logit_difference"] = comparison.largest_difference;
  if (!comparison.losses) return;
  const ProbeLosses& losses = *comparison.losses;
  out["probe"] = {{"rows", losses.rows}};
  if (losses.base) out["probe"]["base_loss"] = *losses.base;
  out["probe"]["adapter_loss"] = losses.adapter;
  out["probe"]["merged_loss"] = losses.merged;
}

int run(Arguments& arguments) {
  MergeOptions options;
  bool json = false;
  arguments.set_example("lowrank merge --model model.gguf --adapter adapter --output merged.gguf");
  arguments.add(
      {model_field(options.files.model), field("adapter", options.files.adapter, adapter_help),
       field("output", options.files.merged, "folder, or FILE.gguf from a GGUF base; it must not exist")});
  arguments.add(options.fields());
  arguments.add({field("json", json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  const MergeCheckOptions& files = options.files;
  require({{"--model", &files.model}, {"--adapter", &files.adapter}, {"--output", &files.merged}});
  const MergedFiles merged = merge_files(options);
  report(merged.result, files.merged);
  report_left_out(merged.result, files.model);
  nlohmann::ordered_json out = figures(merged.result);
  if (merged.comparison) {
    report(*merged.comparison);
    add_figures(out, *merged.comparison);
  }
  if (json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo merge_command;
const CommandInfo merge_command{"merge",
                                "writes the model with the adapter in its weights: a Hugging Face folder, or "
                                "a GGUF file from a GGUF base",
                                run};

}  // namespace lowrank
