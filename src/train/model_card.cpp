#include "train/model_card.h"

#include <fmt/format.h>

#include "base/atomic_file.h"

namespace lowrank {

void write_model_card(const std::filesystem::path& folder, const Adapter& adapter, const std::string& base,
                      const std::string& data, const TrainOptions& options, const RunResult& result) {
  const std::string base_name = std::filesystem::path(base).filename().string();
  const std::string data_name = std::filesystem::path(data).filename().string();
  const bool peft = adapter.method->files().peft;
  std::string card = fmt::format(
      "---\nbase_model: {0}\nlibrary_name: {15}\npipeline_tag: text-generation\ntags:\n- {1}\n- "
      "lowrank\n---\n\n"
      "# {1} adapter for {0}\n\n"
      "Trained with lowrank: {2} parameters ({3}) on {4} modules of the base model.\n\n"
      "| | |\n|---|---|\n| data | {5} |\n| steps | {6} |\n| rows a step | {7} |\n| peak learning rate | {8} "
      "|\n"
      "| schedule | {9}, warm-up {10} steps |\n| seed | {11} |\n| target tokens seen | {12} |\n"
      "| training loss, first and last step | {13:.4f}, {14:.4f} |\n",
      base_name, adapter.info->name, adapter.parameters->count(), adapter.info->paper,
      adapter.plan.targets.size(), data_name, result.steps, options.batch_size * options.grad_accum,
      options.lr.value_or(adapter.info->default_learning_rate), options.schedule, options.warmup,
      options.seed, result.target_tokens, result.first_loss, result.last_loss, peft ? "peft" : "adapters");
  if (result.best_eval_loss) {
    card += fmt::format("| evaluation loss | {:.4f} (step {}) |\n", *result.best_eval_loss, result.best_step);
  }
  card += fmt::format(
      "\nUse it with `lowrank generate --model {} --adapter DIR --prompt TEXT`, or load it with {}.\n",
      base_name,
      peft ? "PEFT's `PeftModel.from_pretrained`" : "AdapterHub's `adapters`: `model.load_adapter(DIR)`");
  write_file_atomically(folder / "README.md", card);
}

}  // namespace lowrank
