#include "text/tokenizer_gguf.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

/// `tokenizer.ggml.token_type` values (llama.cpp).
enum TokenType : int64_t { control = 3, user_defined = 4 };

template <typename T>
T need(const GgufFile& file, const char* key) {
  std::optional<T> value = file.find<T>(key);
  check(value.has_value(), ErrorKind::invalid, "{}: the key {} is missing", file.path().string(), key);
  return std::move(*value);
}

/// The cuts before GPT-2's own.
std::vector<std::string> split_patterns(const GgufFile& file) {
  const std::string name = file.find<std::string>("tokenizer.ggml.pre").value_or("default");
  if (name == "gpt-2" || name == "default") return {};
  if (name == "smollm") return {digit_pattern()};
  fail(ErrorKind::unsupported, "{}: tokenizer.ggml.pre '{}' is not known; known are default, gpt-2, smollm",
       file.path().string(), name);
}

std::optional<int64_t> token_id(const GgufFile& file, const std::string& name, size_t vocabulary) {
  const std::string key = "tokenizer.ggml." + name + "_token_id";
  const std::optional<int64_t> id = file.find<int64_t>(key);
  check(!id || (*id >= 0 && *id < static_cast<int64_t>(vocabulary)), ErrorKind::invalid,
        "{}: {} {} is outside the vocabulary of {}", file.path().string(), key, id.value_or(0), vocabulary);
  return id;
}

}  // namespace

TokenizerSpec tokenizer_spec_from_gguf(const GgufFile& file) {
  const auto model = need<std::string>(file, "tokenizer.ggml.model");
  check(model == "gpt2", ErrorKind::unsupported,
        "{}: tokenizer.ggml.model '{}' is not known; known is gpt2 (byte-level BPE)", file.path().string(),
        model);
  TokenizerSpec spec;
  const auto tokens = need<std::vector<std::string_view>>(file, "tokenizer.ggml.tokens");
  spec.vocabulary.assign(tokens.begin(), tokens.end());
  for (const std::string_view merge : need<std::vector<std::string_view>>(file, "tokenizer.ggml.merges")) {
    // A part may begin with the separator only where it is a lone space's stand-in, never a real space.
    const size_t space = merge.find(' ', 1);
    check(space != std::string_view::npos, ErrorKind::invalid,
          "{}: tokenizer.ggml.merges holds \"{}\" without a space", file.path().string(), merge);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  spec.split_patterns = split_patterns(file);
  const auto types = file.find<std::vector<int64_t>>("tokenizer.ggml.token_type");
  check(!types || types->size() == tokens.size(), ErrorKind::invalid,
        "{}: tokenizer.ggml.token_type has {} entries for {} tokens", file.path().string(),
        types ? types->size() : 0, tokens.size());
  for (size_t id = 0; types && id < types->size(); ++id) {
    if ((*types)[id] != control && (*types)[id] != user_defined) continue;
    spec.added.push_back({spec.vocabulary[id], static_cast<int64_t>(id), (*types)[id] == control});
  }
  spec.bos = token_id(file, "bos", tokens.size());
  spec.eos = token_id(file, "eos", tokens.size());
  spec.pad = token_id(file, "padding", tokens.size());
  for (const char* name : {"eos", "eot", "eom"}) {
    const auto id = token_id(file, name, tokens.size());
    if (id && std::ranges::find(spec.end_tokens, *id) == spec.end_tokens.end())
      spec.end_tokens.push_back(*id);
  }
  if (spec.bos && file.find<bool>("tokenizer.ggml.add_bos_token").value_or(false)) spec.prefix = {*spec.bos};
  if (spec.eos && file.find<bool>("tokenizer.ggml.add_eos_token").value_or(false)) spec.suffix = {*spec.eos};
  spec.add_prefix_space = file.find<bool>("tokenizer.ggml.add_space_prefix").value_or(false);
  spec.chat_template = file.find<std::string>("tokenizer.chat_template").value_or("");
  return spec;
}

}  // namespace lowrank
