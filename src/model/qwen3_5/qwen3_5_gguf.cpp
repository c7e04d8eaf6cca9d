#include "model/qwen3_5/qwen3_5_gguf.h"

#include <algorithm>
#include <variant>

#include "base/error.h"

namespace lowrank {

using qwen3_5_layer::full;
using qwen3_5_layer::linear;

namespace {

/// The number of positions' parts that rotate together, of which GGUF files have four: one text has them all
/// equal.
std::vector<int32_t> sections(const nlohmann::json& text, const DecoderConfig& c) {
  std::vector<int32_t> four(4, 0);
  const auto rotary = text.find("rope_parameters");
  const bool given = rotary != text.end() && rotary->is_object();
  const std::vector<double> listed =
      given ? ConfigReader(*rotary).numbers("mrope_section") : std::vector<double>{};
  if (listed.empty()) four[0] = static_cast<int32_t>(c.rotary.front().inverse.size());
  for (size_t i = 0; i < std::min(listed.size(), four.size()); ++i) four[i] = static_cast<int32_t>(listed[i]);
  return four;
}

}  // namespace

nlohmann::json qwen3_5_config_from_gguf(const GgufFile& file, const Qwen35Names& names) {
  const std::string architecture(names.gguf_architecture);
  const GgufConfigReader read(file, architecture);
  nlohmann::json config = decoder_config_from_gguf(file, architecture, true);
  config["model_type"] = names.text;
  config["architectures"] = nlohmann::json::array({names.text_class});
  const auto blocks = config["num_hidden_layers"].get<int64_t>();
  const int64_t further = file.find<int64_t>(fmt::format("{}.{}", architecture, further_key)).value_or(0);
  check(further >= 0 && further < blocks, ErrorKind::invalid, "{}: {}.{} is {} of {} blocks",
        file.path().string(), architecture, further_key, further, blocks);
  const int64_t layers = blocks - further;
  config["num_hidden_layers"] = layers;
  if (further > 0) config[further_key] = further;
  config["attention_bias"] = false;
  config["linear_conv_kernel_dim"] = read.count("ssm.conv_kernel");
  const int64_t value_heads = read.count("ssm.time_step_rank"), inner = read.count("ssm.inner_size");
  config["linear_num_key_heads"] = read.count("ssm.group_count");
  config["linear_num_value_heads"] = value_heads;
  config["linear_key_head_dim"] = read.count("ssm.state_size");
  config["linear_value_head_dim"] = inner / value_heads;
  const int64_t interval = read.count("full_attention_interval", 4);
  const std::string list = architecture + ".attention.recurrent_layers";
  const auto listed = file.metadata().find(list);
  const auto* recurrent =
      listed == file.metadata().end() ? nullptr : std::get_if<std::vector<bool>>(&listed->second);
  check(!recurrent || std::ssize(*recurrent) == blocks, ErrorKind::invalid,
        "{}: {} has {} values for {} blocks", file.path().string(), list, recurrent ? recurrent->size() : 0,
        blocks);
  for (int64_t i = 0; i < layers; ++i) {
    const bool carries = recurrent ? (*recurrent)[i] : (i + 1) % interval != 0;
    config["layer_types"].push_back(carries ? linear : full);
  }
  return config;
}

void describe_qwen3_5(const nlohmann::json& config, const DecoderConfig& c, const Qwen35Names& names,
                      GgufDescription& description) {
  const nlohmann::json text = qwen3_5_text(config, names);
  const ConfigReader read(text);
  const DeltaRuleShape heads = qwen3_5_heads(read);
  require_in_gguf(!c.qkv_bias, "attention_bias", "must be false");
  require_in_gguf(heads.key_dim == heads.value_dim, "linear_value_head_dim",
                  "must equal linear_key_head_dim");
  const std::vector<std::string> types = qwen3_5_layer_types(read, c.layers);
  const int64_t interval = std::ranges::find(types, full) - types.begin() + 1;
  for (int64_t i = 0; i < c.layers; ++i) {
    require_in_gguf((types[i] == full) == ((i + 1) % interval == 0), "layer_types",
                    "must have full_attention at regular intervals");
  }
  const GgufKeyWriter keys(description.keys, names.gguf_architecture);
  keys.count("ssm.conv_kernel", qwen3_5_taps(read));
  keys.count("ssm.state_size", heads.key_dim);
  keys.count("ssm.group_count", heads.key_heads);
  keys.count("ssm.time_step_rank", heads.value_heads);
  keys.count("ssm.inner_size", heads.value_heads * heads.value_dim);
  keys.count("full_attention_interval", interval);
  description.keys.set_numbers<int32_t>(fmt::format("{}.rope.dimension_sections", names.gguf_architecture),
                                        sections(text, c));
  if (is_qwen3_5_wrapper(config, names)) description.notes.emplace_back("only the text model is written");
}

}  // namespace lowrank
