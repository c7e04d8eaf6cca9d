#include "train/model_card.h"

#include <fmt/format.h>

#include "base/atomic_file.h"

namespace lowrank {
namespace {

std::string_view use_of(const Adapter& adapter) {
  return adapter.labels ? "classify --text TEXT" : "generate --prompt TEXT";
}

/// How another library loads the folder, for people.
std::string other_use(std::string_view library, bool several) {
  const char* folder = several ? " (each folder in it)" : "";
  if (library == "peft") return fmt::format(", or load it{} with PEFT's `PeftModel.from_pretrained`", folder);
  if (library == "adapters")
    return fmt::format(", or load it{} with AdapterHub's `adapters`: `model.load_adapter(DIR)`", folder);
  return "";
}

}  // namespace

void write_model_card(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base,
                      const std::string& data, const TrainOptions& options, const RunResult& result) {
  const std::string base_name = std::filesystem::path(base).filename().string();
  const std::string data_name = std::filesystem::path(data).filename().string();
  const std::string_view library = adapter.method->files().library;
  const std::vector<std::string>& targets = adapter.plan.targets;
  std::string card = fmt::format(
      "---\nbase_model: {0}\nlibrary_name: {1}\npipeline_tag: {2}\ntags:\n- {3}\n- lowrank\n---\n\n"
      "# {3} adapter for {0}\n\n"
      "Trained with lowrank: {4} parameters{5}, {6}.\n\n",
      base_name, library.empty() ? "lowrank" : library,
      adapter.labels ? "text-classification" : "text-generation", adapter.info->name,
      adapter.parameters->count(),
      adapter.info->paper.empty() ? "" : fmt::format(" ({})", adapter.info->paper),
      targets.size() == 1 ? targets.front() : fmt::format("{} parts of the base model", targets.size()));
  card += fmt::format(
      "| | |\n|---|---|\n| data | {} |\n| steps | {} |\n| rows a step | {} |\n| peak learning rate | {} |\n"
      "| schedule | {}, warm-up {} steps |\n| seed | {} |\n| targets seen | {} |\n"
      "| training loss, first and last step | {:.4f}, {:.4f} |\n",
      data_name, result.steps, options.batch_size * options.grad_accum,
      options.lr.value_or(adapter.info->default_learning_rate), options.schedule, options.warmup,
      options.seed, result.target_tokens, result.first_loss, result.last_loss);
  if (result.best_eval_loss) {
    card += fmt::format("| evaluation loss | {:.4f} (step {}) |\n", *result.best_eval_loss, result.best_step);
  }
  const bool whole = adapter.method->output() == Output::model;
  card += whole ? fmt::format("\nThis folder is a model: `lowrank {} --model DIR`.\n", use_of(adapter))
                : fmt::format("\nUse it with `lowrank {} --model {} --adapter DIR`{}.\n", use_of(adapter),
                              base_name, other_use(library, adapter.method->parts() != nullptr));
  write_file_atomically(folder / "README.md", card);
}

}  // namespace lowrank
