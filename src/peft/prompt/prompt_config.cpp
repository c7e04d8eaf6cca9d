#include "peft/prompt/prompt_config.h"

#include "base/error.h"
#include "peft/core/adapted_modules.h"
#include "peft/core/target_options.h"

namespace lowrank {
namespace {

constexpr int64_t most_virtual_tokens = 1 << 20;

}  // namespace

Field PromptConfig::field_of_modules() {
  return field("modules_to_save", modules_to_save, "parts of the model that are trained in full and saved");
}

void PromptConfig::plan(const ModelSpec& spec, TrainPlan& plan) {
  layers_ = spec.layers;
  saved_ = {};
  modules_to_save = with_head(spec, modules_to_save);
  // PEFT does not wrap the model's modules for a prompt: one `model.` fewer than in other adapters.
  for (const TensorRef* tensor : tensors_to_save(spec, modules_to_save))
    saved_.add(*tensor, "base_model." + tensor->name);
  saved_.plan(plan);
}

nlohmann::json PromptConfig::write(const char* peft_type, int64_t count, int64_t token_dim,
                                   int64_t heads) const {
  return {{"peft_type", peft_type},
          {"num_virtual_tokens", count},
          {"token_dim", token_dim},
          {"num_transformer_submodules", 1},
          {"num_attention_heads", heads},
          {"num_layers", layers_},
          {"modules_to_save", modules_to_save.empty() ? nlohmann::json() : nlohmann::json(modules_to_save)}};
}

int64_t PromptConfig::read(const nlohmann::json& config, const std::string& where) {
  check(is_given(config, "task_type"), ErrorKind::invalid,
        "{}: no task_type, without which PEFT never inserts the prompt", where);
  require_neutral(config, {{"num_transformer_submodules", {1}}}, where);
  if (is_given(config, "modules_to_save")) {
    const std::vector<Field> own{field_of_modules()};
    apply(own, {{"modules_to_save", config["modules_to_save"]}}, where);
  }
  return read_count(config, "num_virtual_tokens", 1, where);
}

int64_t read_count(const nlohmann::json& config, const char* key, int64_t least, const std::string& where) {
  int64_t count = 0;
  const std::vector<Field> own{
      limited(field(key, count, ""), static_cast<double>(least), most_virtual_tokens)};
  check(is_given(config, key), ErrorKind::invalid, "{}: no {}", where, key);
  apply(own, {{key, config[key]}}, where);
  return count;
}

Field virtual_tokens_field(int64_t& count) {
  return limited(field("num_virtual_tokens", count, "N, the rows in front of each sequence"), 1,
                 most_virtual_tokens);
}

}  // namespace lowrank
