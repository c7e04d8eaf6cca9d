// ModernBERT (Warner et al. 2024, arXiv 2412.13663): rotary_encoder.h, with one matrix for q, k and v
// (`Wqkv`) and one for the MLP's gate and its input (`Wi`). The label head is the dense layer and norm of its
// masked language models, and a classifier.
#include "model/encoders/rotary_encoder.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "modernbert";

ModelSpec spec(const nlohmann::json& config) {
  return rotary_encoder_spec(family_name, config, read_rotary_encoder_config(config));
}

std::unique_ptr<Model> load(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options) {
  RotaryEncoderConfig config = read_rotary_encoder_config(checkpoint->spec().config);
  return make_rotary_encoder(std::move(checkpoint), options, std::move(config));
}

/// The second of its two layers sees three rows on each side.
nlohmann::json tiny_config() {
  return {{"architectures", {"ModernBertForSequenceClassification"}},
          {"model_type", family_name},
          {"hidden_size", 32},
          {"intermediate_size", 40},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"vocab_size", 64},
          {"max_position_embeddings", 66},
          {"layer_types", {"full_attention", "sliding_attention", "full_attention"}},
          {"local_attention", 6},
          {"id2label", {{"0", "no"}, {"1", "perhaps"}, {"2", "yes"}}}};
}

constexpr std::string_view model_types[] = {"modernbert"};

}  // namespace

extern const FamilyInfo modernbert_family;
const FamilyInfo modernbert_family{family_name, model_types, {},
                                   nullptr,     nullptr,     spec,
                                   load,        tiny_config, "ModernBertForSequenceClassification"};

}  // namespace lowrank
