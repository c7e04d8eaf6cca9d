#include "session/merge_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "data/rows/data_files.h"
#include "data/rows/rows.h"
#include "peft/files/adapter_labels.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {
namespace {

constexpr DType written_types[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                   DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1};

std::optional<DType> type_of(const std::string& name) {
  if (name == "auto" || name == "own") return std::nullopt;
  for (const DType type : written_types) {
    std::string lower(info_of(type).name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (lower == name) return type;
  }
  fail(ErrorKind::invalid, "`merged_type`: '{}' is not known", name);
}

/// Compares the written model with base and adapter. On any error, what was written is removed. Errors:
/// invalid when its logits differ too much from those of base and adapter.
MergeComparison checked(const MergeOptions& options, bool empty_folder) {
  const std::filesystem::path output = options.files.merged;
  try {
    MergeComparison comparison = compare_merged(options.files);
    const bool forced = options.merged_type.starts_with("q") || options.merged_type == "own";
    const bool finite = std::isfinite(comparison.largest_difference);
    const std::string found = fmt::format(
        "the merged model's logits differ from the unmerged one's by {:.3g}, root mean square "
        "{:.3g}, where the adapter changes the base's logits by {:.3g}",
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

}  // namespace

std::vector<Field> MergeOptions::fields() {
  return {
      one_of(field("merged_type", merged_type,
                   "own: each tensor's own type (in a folder f32 for quantised ones, in a GGUF file q8_0 for "
                   "types that cannot be written); auto: the same, but q8_0 (or f16) for matrices of a GGUF "
                   "file whose own blocks lose the update"),
             {"auto", "own", "f32", "bf16", "f16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"}),
      field("check", check, "compare the written model with base and adapter"),
      field("probe_data", files.probe_data,
            "rows on which the losses of base, adapter and merged model are compared; empty: sampled texts"),
      field("format", files.format, row_format_help), field("columns", files.columns, columns_help)};
}

MergeResult write_merged(const Checkpoint& base, const Adapter& adapter, const MergeOptions& options) {
  const std::optional<DType> type = type_of(options.merged_type);
  const std::string& output = options.files.merged;
  if (!output.ends_with(".gguf")) return merge_to_folder(base, adapter, type, output);
  return merge_to_gguf(base, adapter, type, output, options.merged_type == "own" ? 0 : enough_kept);
}

MergedFiles merge_files(MergeOptions options) {
  MergeCheckOptions& files = options.files;
  check_model_place(files.model);
  check_adapter_place(files.adapter);
  files.merged = without_slash(files.merged).string();
  check(files.probe_data.empty() || options.check, ErrorKind::invalid, "`probe_data` is for `check`");
  if (!files.probe_data.empty()) data_files(files.probe_data);
  const bool empty_folder = std::filesystem::exists(files.merged);
  const auto checkpoint = open_told(files.model, read_adapter_labels(files.adapter));
  const Adapter adapter = load_told_adapter(files.adapter, *checkpoint);
  MergedFiles merged{write_merged(*checkpoint, adapter, options), std::nullopt};
  if (options.check) merged.comparison = checked(options, empty_folder);
  return merged;
}

}  // namespace lowrank
