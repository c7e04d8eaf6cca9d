#pragma once

#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_metadata.h"
#include "tokenizer/core/tokenizer_spec.h"

namespace lowrank {

/// `tokenizer.ggml.token_type` values (llama.cpp).
namespace gguf_token_type {
inline constexpr int32_t normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6;
}

/// The tokenizer in the `tokenizer.ggml.*` keys: model `gpt2` (byte-level BPE) with the pre-tokenizers of
/// gguf_pre_tokenizers.h, `llama` or `bert`. Missing keys have llama.cpp's defaults; special tokens outside
/// the vocabulary are dropped, with a note. Errors: invalid or unsupported, the key named.
TokenizerSpec tokenizer_spec_from_gguf(const GgufFile& file);

/// Adds the same keys for a tokenizer, as llama.cpp's converter writes them: one token for each of the
/// embedding's `rows` (unused ones are [PAD<id>]; tokens beyond them are left out), and for SentencePiece's
/// BPE scores that order its merges. `merges_from_vocabulary`: the order of the vocabulary gives the merges
/// (Gemma's), which are then left out. Returns what GGUF cannot express and is left out, as sentences.
/// Errors: unsupported, beginning with `where`, for a tokenizer that such a file cannot describe: WordPiece,
/// other splits, other normalisers, other tokens around texts than BOS and EOS.
std::vector<std::string> write_tokenizer_keys(const TokenizerSpec& spec, int64_t rows,
                                              bool merges_from_vocabulary, const std::string& where,
                                              GgufMetadata& keys);

}  // namespace lowrank
