#pragma once

#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "model/gguf/decoder_gguf.h"
#include "model/qwen3_5/qwen3_5_config.h"

namespace lowrank {

/// What the text model's config.json would contain for a GGUF file of this architecture, but experts. Errors:
/// invalid, the key named.
nlohmann::json qwen3_5_config_from_gguf(const GgufFile& file, const Qwen35Names& names);

/// Adds to what a GGUF file of the decoder `c` holds what is special to these models. `config` is the whole
/// configuration. Errors: unsupported for what such a file cannot say, the key named.
void describe_qwen3_5(const nlohmann::json& config, const DecoderConfig& c, const Qwen35Names& names,
                      GgufDescription& description);

}  // namespace lowrank
