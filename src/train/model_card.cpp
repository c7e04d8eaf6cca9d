#include "train/model_card.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/hub_cache.h"

namespace lowrank {
namespace {

std::string_view use_of(const Adapter& adapter, bool conversations, bool embeds) {
  if (conversations) return "chat";
  if (embeds) return "embed --text TEXT";
  return adapter.labels ? "classify --text TEXT" : "generate --prompt TEXT";
}

/// How another library loads the folder, as text for the card.
std::string other_use(std::string_view library, bool several) {
  const char* folder = several ? " (each folder in it)" : "";
  if (library == "peft") return fmt::format(", or load it{} with PEFT's `PeftModel.from_pretrained`", folder);
  if (library == "adapters")
    return fmt::format(", or load it{} with AdapterHub's `adapters`: `model.load_adapter(DIR)`", folder);
  return "";
}

/// A model's name on the hub if the path lies in its cache, else the last component of the path, even if the
/// path ends in a slash or a dot.
std::string name_of(const std::string& path) {
  if (const auto repository = repository_of(path)) return *repository;
  std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.filename().string();
}

std::string step_size(const TrainOptions& options) {
  if (options.tokens_per_batch)
    return fmt::format("tokens per step, at most | {}", *options.tokens_per_batch * options.grad_accum);
  return fmt::format("examples per step | {}", options.rows_per_batch() * options.grad_accum);
}

/// A text as a double-quoted YAML string, for which JSON's escapes are valid.
std::string in_yaml(const std::string& text) {
  return json_text(nlohmann::json(text));
}

/// A name in Markdown: on one line, with a backslash before what would mark up text, a table or HTML.
std::string in_markdown(const std::string& text) {
  std::string shown;
  for (const char letter : one_line(text)) {
    if (std::string_view("\\|`*_[]<>&~").find(letter) != std::string_view::npos) shown += '\\';
    shown += letter;
  }
  return shown;
}

/// A name for a code span, where backslashes are shown: a backtick, which would end it, becomes a quote.
std::string in_code(const std::string& text) {
  std::string shown = one_line(text);
  std::ranges::replace(shown, '`', '\'');
  return shown;
}

}  // namespace

void write_model_card(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base,
                      std::span<const WeightedData> data, const TrainOptions& options,
                      const RunResult& result, bool conversations) {
  const std::string base_name = in_markdown(name_of(base));
  const bool embeds = options.contrastive.has_value();
  std::vector<WeightedData> named(data.begin(), data.end());
  for (WeightedData& one : named) one.pattern = name_of(one.pattern);
  const std::string data_name = in_markdown(words_for(named));
  const std::string_view library = adapter.method->form().names().library;
  const std::vector<std::string>& targets = adapter.plan.targets;
  std::string card = fmt::format(
      "---\nbase_model: {7}\nlibrary_name: {1}\npipeline_tag: {2}\ntags:\n- {3}\n- lowrank\n---\n\n"
      "# {3} adapter for {0}\n\n"
      "Trained with lowrank: {4} parameters{5}, {6}.\n\n",
      base_name, library.empty() ? "lowrank" : library,
      embeds           ? "sentence-similarity"
      : adapter.labels ? "text-classification"
                       : "text-generation",
      adapter.info->name, adapter.parameters->count(),
      adapter.info->paper.empty() ? "" : fmt::format(" ({})", adapter.info->paper),
      targets.size() == 1 ? targets.front() : fmt::format("{} modules", targets.size()),
      in_yaml(name_of(base)));
  card += fmt::format(
      "| | |\n|---|---|\n| data | {} |\n| steps | {} |\n| {} |\n| peak learning rate | {} |\n"
      "| schedule | {}, warm-up {} steps |\n| seed | {} |\n| targets seen | {} |\n"
      "| training loss, first and last step | {:.4f}, {:.4f} |\n",
      data_name, result.steps, step_size(options), options.lr.value_or(adapter.info->default_learning_rate),
      options.schedule, options.warmup, options.seed, result.target_tokens, result.first_loss,
      result.last_loss);
  if (result.best_eval_loss) {
    card += fmt::format("| evaluation loss | {:.4f} (step {}) |\n", *result.best_eval_loss, result.best_step);
  }
  const bool whole = adapter.method->form().output() == Output::model;
  const std::string_view use = use_of(adapter, conversations, embeds);
  card += whole ? fmt::format("\nThis folder is a model: `lowrank {} --model DIR`.\n", use)
                : fmt::format("\nUse it with `lowrank {} --model {} --adapter DIR`{}.\n", use,
                              in_code(name_of(base)),
                              other_use(library, adapter.method->form().parts() != nullptr));
  write_file_atomically(folder / "README.md", card);
}

}  // namespace lowrank
