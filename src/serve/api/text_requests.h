#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/generation_request.h"

namespace lowrank::serve {

/// Texts for an encoder: POST /v1/embeddings and /classify.
struct EncoderRequest {
  std::string model;
  std::vector<std::string> texts;         ///< or
  std::vector<std::vector<int64_t>> ids;  ///< the same already encoded
  bool base64 = false;                    ///< vectors as the bytes of their floats
};

/// `width`: of the vectors. Errors: Refusal, also for more than `most` texts.
EncoderRequest encoder_request(std::string_view body, int64_t vocabulary, int64_t width, size_t most);

/// POST /tokenize: the text of a prompt, or of a conversation.
struct TokenizeRequest {
  std::string model, text;
  bool is_chat = false, special_tokens = true;
  Conversation conversation;
};

/// vLLM's and llama.cpp's forms: {"prompt" or "content" or "messages", "add_special_tokens"}. Errors:
/// Refusal.
TokenizeRequest tokenize_request(std::string_view body);

/// POST /detokenize: {"tokens"}. Errors: Refusal.
std::vector<int64_t> detokenize_request(std::string_view body, int64_t vocabulary);

/// POST /v1/load_lora_adapter: {"lora_name", "lora_path"}; /v1/unload_lora_adapter: {"lora_name"}.
struct AdapterRequest {
  std::string name, path;
};

/// Errors: Refusal.
AdapterRequest adapter_request(std::string_view body, bool needs_path);

/// POST /lora-adapters: [{"id", "scale"}]. Errors: Refusal.
std::vector<ChosenAdapter> adapter_scales(std::string_view body);

}  // namespace lowrank::serve
