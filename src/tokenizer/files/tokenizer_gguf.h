#pragma once

#include "formats/gguf.h"
#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// The tokenizer in the `tokenizer.ggml.*` keys: model `gpt2` (byte-level BPE) with the pre-tokenizers of
/// gguf_pre_tokenizers.h, `llama` or `bert`. Missing keys have llama.cpp's defaults; special tokens outside
/// the vocabulary are dropped, with a note. Errors: invalid or unsupported, the key named.
TokenizerSpec tokenizer_spec_from_gguf(const GgufFile& file);

}  // namespace lowrank
