// lowrank merge: writes the base model with an adapter merged into its weights, and checks the result.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/adapters/undo_merge.h"
#include "session/merge_files.h"
#include "session/places.h"
#include "session/session.h"
#include "session/training_results.h"

namespace lowrank {
namespace {

std::string percent(double share) {
  if (share > 0 && share < 5e-4) return fmt::format("{:.1e}", share);
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
  info("changed tensors: {}, which keep {} of the update; rounding adds {:.2g} times its size{}",
       counted(result.types), percent(kept), result.kept.noise(),
       result.raised > 0
           ? fmt::format(
                 " ({} of them would lose too much in their own blocks; --merged-type own keeps those)",
                 result.raised)
           : "");
  if (kept >= enough_kept) return;
  const std::string lost = percent(std::clamp(1 - kept, 0.0, 1.0));
  if (result.requantised > 0)
    warn(
        "rounding to blocks loses {} of what the adapter learned: merge to f16 or bf16 (--merged-type f16), "
        "or keep "
        "the adapter separate from the model",
        lost);
  else
    warn("rounding loses {} of what the adapter learned; --merged-type f32 keeps more", lost);
}

void report(const UndoneMerge& undone, const std::string& output, const std::string& original) {
  const UndoneRounding& rounding = undone.rounding;
  info("{}: the adapter was taken out of {} of {} tensors, {} bytes", output, undone.result.changed,
       undone.result.tensors, undone.result.bytes);
  if (rounding.values > 0)
    info(
        "rounding left: at most {:.2g}; {} of {} values ({}) were merged onto a coarser grid and may differ "
        "from "
        "the base's in their last bit",
        rounding.largest, rounding.coarser, rounding.values,
        percent(static_cast<double>(rounding.coarser) / static_cast<double>(rounding.values)));
  if (rounding.others > 0)
    warn(
        "{} values were merged into quantised blocks, whose rounding stays: writing them adds {:.2g} times "
        "the "
        "adapter's update, and merging did about the same",
        rounding.others, undone.result.kept.noise());
  if (undone.difference)
    info(
        "logits with the adapter against the merged model's (f32): largest difference {:.2e}, root mean "
        "square "
        "{:.2e}",
        undone.difference->largest, undone.difference->distance);
  if (!undone.original) return;
  const ValueComparison& compared = *undone.original;
  if (compared.different == 0)
    info("exact: all {} values are those of {}", compared.values, original);
  else
    info("against {}: {} of {} values differ ({}), by at most {:.2g}", original, compared.different,
         compared.values,
         percent(static_cast<double>(compared.different) / static_cast<double>(compared.values)),
         compared.largest);
}

void report(const MergeComparison& comparison) {
  info("largest logit difference against the unmerged model (f32): {:.2e}", comparison.largest_difference);
  if (!comparison.losses) return;
  const ProbeLosses& losses = *comparison.losses;
  info("loss on {}: {}{:.4f} with the adapter, {:.4f} merged", losses.rows,
       losses.base ? fmt::format("{:.4f} base, ", *losses.base) : "", losses.adapter, losses.merged);
}

nlohmann::ordered_json figures(const MergeResult& result) {
  return {{"changed", result.changed},
          {"tensors", result.tensors},
          {"bytes", result.bytes},
          {"types", result.types},
          {"raised", result.raised},
          {"update_kept", result.kept.share()},
          {"rounding_added", result.kept.noise()}};
}

nlohmann::ordered_json figures(const UndoneMerge& undone) {
  nlohmann::ordered_json out = figures(undone.result);
  out["values"] = undone.rounding.values;
  out["coarser_values"] = undone.rounding.coarser;
  out["largest_rounding"] = undone.rounding.largest;
  out["quantised_values"] = undone.rounding.others;
  if (undone.difference) out["largest_logit_difference"] = undone.difference->largest;
  if (!undone.original) return out;
  out["exact"] = undone.original->different == 0;
  out["different_values"] = undone.original->different;
  out["largest_difference"] = undone.original->largest;
  return out;
}

int run_undo(const MergeOptions& options, const std::string& original, bool json) {
  const UndoneMerge undone = undo_merge(options, original);
  report(undone, options.files.merged, original);
  report_left_out(undone.result, options.files.model);
  if (json) std::cout << figures(undone).dump() << '\n';
  return 0;
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
  std::string original;
  bool undo = false, json = false;
  arguments.set_example("lowrank merge --model model.gguf --adapter adapter --output merged.gguf");
  arguments.add(
      {model_field(options.files.model), field("adapter", options.files.adapter, adapter_help),
       field("output", options.files.merged, "folder, or FILE.gguf from a GGUF base; it must not exist")});
  arguments.add(options.fields());
  Field compared = model_field(original);
  compared.name = "original";
  compared.help = "with --undo: the base that was merged, with which what is written is compared";
  arguments.add({field("undo", undo, "take the adapter out of --model, into which it was merged"),
                 std::move(compared), field("json", json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  const MergeCheckOptions& files = options.files;
  require({{"--model", &files.model}, {"--adapter", &files.adapter}, {"--output", &files.merged}});
  check(original.empty() || undo, ErrorKind::invalid, "`original` is for `undo`");
  if (undo) return run_undo(options, original, json);
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
