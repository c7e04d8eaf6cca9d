// Qwen 3.5 (Qwen Team 2026), dense: most layers have a gated DeltaNet, the others gated attention with rotary
// positions on a part of each head. Of the folders of the multimodal models the text model is read.
#include "model/decoders/decoder.h"
#include "model/qwen3_5/qwen3_5_gguf.h"
#include "model/registry.h"

namespace lowrank {
namespace {

constexpr std::string_view family_name = "qwen3_5";
constexpr std::string_view model_types[] = {"qwen3_5_text", "qwen3_5"};
constexpr std::string_view gguf_architectures[] = {"qwen35"};
constexpr Qwen35Names names{model_types[1], model_types[0], "Qwen3_5ForCausalLM", gguf_architectures[0]};

DecoderConfig parse(const nlohmann::json& json) {
  return parse_qwen3_5(json, qwen3_5_text(json, names), names);
}

ModelSpec spec(const nlohmann::json& json) {
  return qwen3_5_spec(family_name, json, parse(json));
}

nlohmann::json config_from_gguf(const GgufFile& file) {
  return qwen3_5_config_from_gguf(file, names);
}

GgufDescription describe_gguf(const nlohmann::json& json) {
  const DecoderConfig c = parse(json);
  GgufDescription description = describe_decoder(qwen3_5_text(json, names), c);
  describe_qwen3_5(json, c, names, description);
  return description;
}

nlohmann::json tiny_config() {
  return tiny_qwen3_5_config(names);
}

}  // namespace

extern const FamilyInfo qwen3_5_family;
const FamilyInfo qwen3_5_family{family_name,   model_types, gguf_architectures,  config_from_gguf,
                                describe_gguf, spec,        load_decoder<parse>, tiny_config};

}  // namespace lowrank
