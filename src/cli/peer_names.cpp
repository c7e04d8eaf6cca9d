#include "cli/peer_names.h"

#include <algorithm>
#include <utility>

namespace lowrank {
namespace {

/// A name of theirs and one of ours. Where both mean the same, whatever the value, ours is set.
struct PeerName {
  std::string_view theirs, ours;
  bool same = false;
  std::string_view beside = {};  ///< the command must have this option, too; empty: none
};

/// A name may appear several times, since commands differ in their options.
constexpr PeerName names[] = {
    {"adapter_model_path", "adapter"},
    {"adapter_name_or_path", "adapter", true},
    {"adapter_name_or_path", "init_adapter", true},
    {"adapter_path", "adapter", true},
    {"adapter_path", "output", true, "method"},
    {"assistant_only_loss", "train_on"},
    {"base_model", "model"},
    {"batch", "batch_size"},
    {"block_size", "max_length"},
    {"c", "config"},
    {"ctx_size", "max_length"},
    {"cutoff_len", "max_length"},
    {"dataset", "data"},
    {"dataset_path", "data"},
    {"early_stopping_patience", "early_stop", true},
    {"eval_dataset", "eval_data"},
    {"eval_file", "eval_data"},
    {"eval_steps", "eval_every", true},
    {"excess_length_strategy", "on_long"},
    {"f", "data"},
    {"file", "data"},
    {"fine_tune_type", "method"},
    {"finetuning_type", "method"},
    {"grad_checkpoint", "gradient_checkpointing"},
    {"gradient_accumulation", "grad_accum"},
    {"gradient_accumulation_steps", "grad_accum", true},
    {"input", "data"},
    {"input_file", "data"},
    {"iters", "steps", true},
    {"label_smoothing_factor", "label_smoothing", true},
    {"learning_rate", "lr", true},
    {"logging_steps", "log_every", true},
    {"lora", "adapter", true},
    {"lora_adapter", "adapter"},
    {"lora_alpha", "alpha", true},
    {"lora_dropout", "dropout", true},
    {"lora_modules_to_save", "modules_to_save", true},
    {"lora_path", "adapter"},
    {"lora_r", "rank", true},
    {"lora_rank", "rank", true},
    {"lora_target", "target_modules"},
    {"lora_target_modules", "target_modules", true},
    {"lora_weights", "init_adapter"},
    {"lr_schedule", "schedule"},
    {"lr_scheduler", "schedule"},
    {"lr_scheduler_type", "schedule", true},
    {"m", "model", true},
    {"mask_history", "train_on"},
    {"max_grad_clip", "max_grad_norm"},
    {"max_len", "max_length"},
    {"max_seq_len", "max_length"},
    {"max_seq_length", "max_length", true},
    {"max_steps", "steps", true},
    {"max_tokens", "max_new_tokens", true},
    {"micro_batch_size", "batch_size"},
    {"model_max_length", "max_length"},
    {"model_name", "model"},
    {"model_name_or_path", "model", true},
    {"model_path", "model"},
    {"n", "max_new_tokens", true},
    {"n_predict", "max_new_tokens", true},
    {"n_threads", "threads"},
    {"num_epochs", "epochs"},
    {"num_iters", "steps"},
    {"num_predict", "max_new_tokens"},
    {"num_threads", "threads"},
    {"num_train_epochs", "epochs", true},
    {"o", "output"},
    {"out", "output"},
    {"outfile", "output", true},
    {"output_dir", "output", true},
    {"output_path", "output"},
    {"outtype", "merged_type"},
    {"outtype", "type", true},
    {"p", "prompt", true},
    {"peft_method", "method"},
    {"peft_type", "method"},
    {"per_device_eval_batch_size", "batch_size"},
    {"per_device_train_batch_size", "batch_size", true},
    {"predict", "max_new_tokens"},
    {"r", "rank"},
    {"random_seed", "seed"},
    {"repeat_penalty", "repetition_penalty", true},
    {"resume_from", "resume"},
    {"resume_from_checkpoint", "resume"},
    {"rng_seed", "seed"},
    {"s", "seed"},
    {"save_dir", "output"},
    {"save_path", "output"},
    {"save_steps", "save_every", true},
    {"save_total_limit", "keep", true},
    {"sequence_len", "max_length"},
    {"sequence_length", "max_length"},
    {"steps_per_eval", "eval_every", true},
    {"steps_per_report", "log_every", true},
    {"t", "threads", true},
    {"temp", "temperature", true},
    {"torch_dtype", "dtype"},
    {"train_batch_size", "batch_size"},
    {"train_data", "data"},
    {"train_file", "data", true},
    {"train_files", "data"},
    {"train_on_inputs", "train_on"},
    {"train_on_prompt", "train_on"},
    {"val_data", "eval_data"},
    {"val_set_size", "eval_split"},
    {"val_size", "eval_split"},
    {"valid_data", "eval_data"},
    {"validation_file", "eval_data", true},
    {"validation_split", "eval_split"},
    {"warmup_steps", "warmup", true},
    {"wd", "weight_decay"},
};

/// Options of theirs that count differently, or that are always on: a sentence where the command has `ours`.
struct Difference {
  std::string_view theirs, ours, sentence;
};

constexpr Difference differences[] = {
    {"bf16", "dtype", "`dtype` bf16 says so"},
    {"completion_only_loss", "train_on",
     "of rows with a prompt only the completion is learned, unless `train_on` is all"},
    {"dataset_name", "data", "nothing is downloaded; `data` names a file or a folder"},
    {"fp16", "dtype", "`dtype` takes f32 and bf16"},
    {"grad_accumulation_steps", "grad_accum",
     "`steps` counts optimizer steps of `grad_accum` micro-batches each, where mlx-lm counts micro-batches"},
    {"lora_layers", "method",
     "`layers_to_transform` takes the numbers of the layers, not how many of the last"},
    {"mask_prompt", "train_on",
     "of rows with a prompt only the completion is learned, of conversations with `train_on` last only the "
     "last answer"},
    {"n_gpu_layers", "device", "`device` cuda puts the whole model on a GPU"},
    {"ngl", "device", "`device` cuda puts the whole model on a GPU"},
    {"num_layers", "method",
     "`layers_to_transform` takes the numbers of the layers, not how many of the last"},
    {"packing", "max_length",
     "examples are always packed without padding, and each sees only its own tokens"},
    {"resume_adapter_file", "init_adapter", "`init_adapter` takes the adapter's folder"},
    {"train_on_responses_only", "train_on",
     "of conversations only the answers are learned, unless `train_on` is all"},
    {"val_batches", "eval_data", "all rows of `eval_data` are evaluated"},
    {"warmup_ratio", "warmup", "`warmup` counts steps, not a share of them"},
};

std::string with_underscores(std::string_view name) {
  std::string plain(name);
  std::ranges::replace(plain, '-', '_');
  return plain;
}

}  // namespace

std::optional<std::string> own_name(std::string_view name, const KnownOption& known) {
  const std::string theirs = with_underscores(name);
  for (const PeerName& peer : names) {
    if (peer.theirs == theirs && known(peer.ours)) return std::string(peer.ours);
  }
  return std::nullopt;
}

std::optional<std::string> same_option(std::string_view name, const KnownOption& known) {
  const std::string theirs = with_underscores(name);
  for (const PeerName& peer : names) {
    const bool meant = peer.beside.empty() || known(peer.beside);
    if (peer.same && meant && peer.theirs == theirs && known(peer.ours)) return std::string(peer.ours);
  }
  return std::nullopt;
}

std::optional<std::string> difference_of(std::string_view name, const KnownOption& known) {
  const std::string theirs = with_underscores(name);
  for (const Difference& other : differences) {
    if (other.theirs == theirs && known(other.ours)) return std::string(other.sentence);
  }
  return std::nullopt;
}

std::vector<std::string> other_names(std::string_view option, const KnownOption& known) {
  std::vector<std::string> others;
  for (const PeerName& peer : names) {
    if (peer.same && same_option(peer.theirs, known) == option && peer.ours == option && !known(peer.theirs))
      others.emplace_back(peer.theirs);
  }
  return others;
}

}  // namespace lowrank
