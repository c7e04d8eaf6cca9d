// lowrank merge: writes the base model with an adapter merged into its weights, and checks the result.
#include "peft/merge.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "cli/arguments.h"
#include "cli/merge_check.h"
#include "cli/registry.h"
#include "cli/session.h"
#include "cli/training_results.h"
#include "peft/adapter_labels.h"
#include "text/data_files.h"
#include "text/rows.h"

namespace lowrank {
namespace {

struct Options {
  MergeCheckOptions files;
  std::string merged_type = "auto";
  bool check = true, json = false;
};

constexpr DType written_types[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                   DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1};

std::optional<DType> type_of(const std::string& name) {
  if (name == "auto" || name == "own") return std::nullopt;
  for (const DType type : written_types) {
    std::string lower(info_of(type).name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower == name) return type;
  }
  fail(ErrorKind::invalid, "--merged-type '{}' is not known", name);
}

MergeResult merge(const Checkpoint& checkpoint, const Adapter& adapter, const Options& options) {
  const std::optional<DType> type = type_of(options.merged_type);
  const std::string& output = options.files.merged;
  if (!output.ends_with(".gguf")) return merge_to_folder(checkpoint, adapter, type, output);
  return merge_to_gguf(checkpoint, adapter, type, output, options.merged_type == "own" ? 0 : enough_kept);
}

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

void tell(const MergeResult& result, const std::string& output) {
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

void tell(const MergeComparison& comparison) {
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

/// Compares the written model with base and adapter. On any error, what was written is removed. Errors:
/// invalid when its logits differ too much from those of base and adapter.
MergeComparison checked(const Options& options, bool empty_folder) {
  const std::filesystem::path output = options.files.merged;
  try {
    const MergeComparison comparison = compare_merged(options.files);
    const bool forced = options.merged_type.starts_with("q") || options.merged_type == "own";
    const bool finite = std::isfinite(comparison.largest_difference);
    const std::string found = fmt::format(
        "the merged model's logits differ from the unmerged one's by {:.3g}, root mean square "
        "{:.3g}, where the adapter changes the base's by {:.3g}",
        comparison.largest_difference, comparison.distance, comparison.effect);
    if (!comparison.holds() && finite && forced) warn("{}", found);
    if (!finite || (!comparison.holds() && !forced))
      throw Error(ErrorKind::invalid, fmt::format("{}: {}; it is not kept", output.string(), found));
    return comparison;
  } catch (...) {
    std::error_code ignored;
    if (std::filesystem::is_directory(output, ignored)) {
      for (const auto& entry : std::filesystem::directory_iterator(output, ignored))
        std::filesystem::remove_all(entry.path(), ignored);
    }
    if (!empty_folder) std::filesystem::remove(output, ignored);
    throw;
  }
}

int run(const std::vector<std::string>& arguments) {
  Options options;
  Arguments parser(
      "merge",
      "writes the base model with an adapter in its weights, as a Hugging Face folder or a GGUF file");
  parser.add(
      {field("model", options.files.model, "Hugging Face folder or GGUF file"),
       field("adapter", options.files.adapter, adapter_help),
       field("output", options.files.merged, "folder, or FILE.gguf from a GGUF base; it must not exist"),
       one_of(field("merged_type", options.merged_type,
                    "own: each tensor's own; in a folder f32 for quantised ones, in a GGUF file q8_0 for "
                    "those that cannot be written; auto: the same, but q8_0 (or f16) for matrices of a GGUF "
                    "file whose own blocks lose the update"),
              {"auto", "own", "f32", "bf16", "f16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"}),
       field("check", options.check, "compare the written model with base and adapter"),
       field("probe_data", options.files.probe_data,
             "rows whose loss is told of base, adapter and merged model; empty: sampled texts"),
       field("format", options.files.format, row_format_help),
       field("columns", options.files.columns, columns_help),
       field("json", options.json, "the result as JSON on standard output")});
  if (!parser.parse(arguments)) return 0;
  const MergeCheckOptions& files = options.files;
  require({{"--model", &files.model}, {"--adapter", &files.adapter}, {"--output", &files.merged}});
  options.files.merged = without_slash(files.merged).string();
  check(files.probe_data.empty() || options.check, ErrorKind::invalid, "--probe-data is for --check");
  if (!files.probe_data.empty()) data_files(files.probe_data);
  const bool empty_folder = std::filesystem::exists(files.merged);
  const auto checkpoint = open_told(files.model, read_adapter_labels(files.adapter));
  const Adapter adapter = load_told_adapter(files.adapter, *checkpoint);
  const MergeResult result = merge(*checkpoint, adapter, options);
  nlohmann::ordered_json out = figures(result);
  std::optional<MergeComparison> comparison;
  if (options.check) comparison = checked(options, empty_folder);
  tell(result, files.merged);
  tell_left_out(result, files.model);
  if (comparison) {
    tell(*comparison);
    add_figures(out, *comparison);
  }
  if (options.json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo merge_command;
const CommandInfo merge_command{"merge", "writes the base model with an adapter in its weights", run};

}  // namespace lowrank
