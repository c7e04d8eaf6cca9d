#pragma once

#include "formats/gguf.h"
#include "text/tokenizer_spec.h"

namespace lowrank {

/// The tokenizer in the `tokenizer.ggml.*` keys: model `gpt2` (byte-level BPE) with the pre-tokenizers gpt-2,
/// default and smollm. Errors: invalid or unsupported, the key named.
TokenizerSpec tokenizer_spec_from_gguf(const GgufFile& file);

}  // namespace lowrank
