#pragma once

#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "model/gguf/decoder_gguf.h"

namespace lowrank {

/// What config.json would contain for a GGUF file of Gemma 4. Errors: invalid, the key named.
nlohmann::json gemma4_config_from_gguf(const GgufFile& file);

/// The inverse: what such a file holds beside the weights. Errors: also unsupported for what it cannot say,
/// the key named.
GgufDescription describe_gemma4(const nlohmann::json& config);

}  // namespace lowrank
