#include "text/tokenizer_gguf.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/gguf_pre_tokenizers.h"
#include "text/normalizer.h"

namespace lowrank {
namespace {

/// `tokenizer.ggml.token_type` values (llama.cpp).
enum TokenType : int64_t { unknown = 2, control = 3, user_defined = 4 };

template <typename T>
T need(const GgufFile& file, const char* key) {
  std::optional<T> value = file.find<T>(key);
  check(value.has_value(), ErrorKind::invalid, "{}: the key {} is missing", file.path().string(), key);
  return std::move(*value);
}

std::optional<int64_t> token_id(const GgufFile& file, const std::string& name, size_t vocabulary) {
  const std::string key = "tokenizer.ggml." + name + "_token_id";
  const std::optional<int64_t> id = file.find<int64_t>(key);
  check(!id || (*id >= 0 && *id < static_cast<int64_t>(vocabulary)), ErrorKind::invalid,
        "{}: {} {} is outside the vocabulary of {}", file.path().string(), key, id.value_or(0), vocabulary);
  return id;
}

void read_merges(TokenizerSpec& spec, const GgufFile& file) {
  for (const std::string_view merge : need<std::vector<std::string_view>>(file, "tokenizer.ggml.merges")) {
    // A part may begin with the separator only where it is a lone space's stand-in, never a real space.
    const size_t space = merge.find(' ', 1);
    check(space != std::string_view::npos, ErrorKind::invalid,
          "{}: tokenizer.ggml.merges holds \"{}\" without a space", file.path().string(), merge);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

void read_byte_level(TokenizerSpec& spec, const GgufFile& file) {
  read_merges(spec, file);
  const std::string name = file.find<std::string>("tokenizer.ggml.pre").value_or("default");
  const GgufPreTokenizer* known = gguf_pre_tokenizer(name);
  check(known != nullptr, ErrorKind::unsupported, "{}: tokenizer.ggml.pre '{}' is not known; known are {}",
        file.path().string(), name, gguf_pre_tokenizer_names());
  for (const std::string_view pattern : known->patterns)
    spec.pre_tokenizer.emplace_back(Split{std::string(pattern)});
  const bool space = file.find<bool>("tokenizer.ggml.add_space_prefix").value_or(false);
  spec.pre_tokenizer.emplace_back(ByteLevel{space, known->then_gpt2});
  spec.ignore_merges = known->ignore_merges;
  spec.decoder.byte_level = true;
}

bool is_spaces(const std::string& token) {
  return !token.empty() && token.find_first_not_of(' ') == std::string::npos;
}

/// Gemma's scores do not follow the order of its merges; the order of its vocabulary does, and runs of
/// spaces, which the file spells as such, come from merges, too.
void read_gemma(TokenizerSpec& spec, const std::string& replacement) {
  std::erase_if(spec.added, [](const AddedToken& token) { return is_spaces(token.content); });
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    std::string& token = spec.vocabulary[id];
    if (is_spaces(token)) token = replaced(token, {" ", replacement});
    spec.scores.push_back(-static_cast<float>(id));
  }
}

/// SentencePiece's BPE with byte fallback.
void read_sentence_piece(TokenizerSpec& spec, const GgufFile& file) {
  const std::string replacement = Metaspace{}.replacement;
  const bool gemma = file.find<std::string>("general.architecture").value_or("").starts_with("gemma");
  if (gemma) read_gemma(spec, replacement);
  if (!gemma && file.find<std::vector<std::string_view>>("tokenizer.ggml.merges")) {
    read_merges(spec, file);
  } else if (!gemma) {
    const auto scores = need<std::vector<double>>(file, "tokenizer.ggml.scores");
    spec.scores.assign(scores.begin(), scores.end());
    check(spec.scores.size() == spec.vocabulary.size() &&
              std::ranges::all_of(spec.scores, [](float s) { return std::isfinite(s); }),
          ErrorKind::invalid, "{}: tokenizer.ggml.scores must be one finite number for each of the {} tokens",
          file.path().string(), spec.vocabulary.size());
  }
  const bool space = !gemma && file.find<bool>("tokenizer.ggml.add_space_prefix").value_or(true);
  if (gemma) {
    spec.normalizer.emplace_back(Replace{" ", replacement});
  } else {
    spec.pre_tokenizer.emplace_back(
        Metaspace{replacement, space ? PrependScheme::first : PrependScheme::never, false});
  }
  spec.byte_fallback = spec.fuse_unknown = true;
  spec.decoder.replacements = {{replacement, " "}};
  spec.decoder.byte_fallback = true;
  spec.decoder.strip_left = space ? 1 : 0;
}

/// BERT's WordPiece; the file marks beginnings of words where BERT marks the other tokens.
void read_word_piece(TokenizerSpec& spec, const GgufFile& file) {
  const std::string mark = Metaspace{}.replacement;
  const auto types = file.find<std::vector<int64_t>>("tokenizer.ggml.token_type");
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    std::string& token = spec.vocabulary[id];
    const bool special = (types && (*types)[id] == control) ||
                         (token.starts_with('[') && token.ends_with(']') && token.size() > 2);
    if (special) continue;
    if (token.starts_with(mark)) {
      token.erase(0, mark.size());
    } else {
      token.insert(0, spec.continuing_prefix);
    }
  }
  spec.model = TokenModel::word_piece;
  spec.normalizer.emplace_back(BertNormalizer{});
  spec.pre_tokenizer.emplace_back(BertPreTokenizer{});
  spec.decoder.word_piece = spec.decoder.cleanup = true;
  const size_t tokens = spec.vocabulary.size();
  for (const char* name : {"bos", "cls"}) {
    if (const auto first = token_id(file, name, tokens)) spec.prefix = {*first};
  }
  if (const auto last = token_id(file, "seperator", tokens)) spec.suffix = {*last};
}

/// Special and user-defined tokens, found before the text is cut.
void read_added(TokenizerSpec& spec, const GgufFile& file) {
  const auto types = file.find<std::vector<int64_t>>("tokenizer.ggml.token_type");
  check(!types || types->size() == spec.vocabulary.size(), ErrorKind::invalid,
        "{}: tokenizer.ggml.token_type has {} entries for {} tokens", file.path().string(),
        types ? types->size() : 0, spec.vocabulary.size());
  for (size_t id = 0; types && id < types->size(); ++id) {
    const bool special = (*types)[id] == control || (*types)[id] == unknown;
    if (special || (*types)[id] == user_defined)
      spec.added.push_back({spec.vocabulary[id], static_cast<int64_t>(id), special});
  }
}

void read_special(TokenizerSpec& spec, const GgufFile& file, bool adds_bos) {
  const size_t tokens = spec.vocabulary.size();
  spec.bos = token_id(file, "bos", tokens);
  spec.eos = token_id(file, "eos", tokens);
  spec.pad = token_id(file, "padding", tokens);
  for (const char* name : {"eos", "eot", "eom"}) {
    const auto id = token_id(file, name, tokens);
    if (id && std::ranges::find(spec.end_tokens, *id) == spec.end_tokens.end())
      spec.end_tokens.push_back(*id);
  }
  if (spec.bos && file.find<bool>("tokenizer.ggml.add_bos_token").value_or(adds_bos))
    spec.prefix = {*spec.bos};
  if (spec.eos && file.find<bool>("tokenizer.ggml.add_eos_token").value_or(false)) spec.suffix = {*spec.eos};
  spec.chat_template = file.find<std::string>("tokenizer.chat_template").value_or("");
}

}  // namespace

TokenizerSpec tokenizer_spec_from_gguf(const GgufFile& file) {
  const auto model = need<std::string>(file, "tokenizer.ggml.model");
  TokenizerSpec spec;
  const auto tokens = need<std::vector<std::string_view>>(file, "tokenizer.ggml.tokens");
  spec.vocabulary.assign(tokens.begin(), tokens.end());
  read_added(spec, file);
  if (model == "gpt2") {
    read_byte_level(spec, file);
    read_special(spec, file, false);
  } else if (model == "llama") {
    read_sentence_piece(spec, file);
    spec.unknown = token_id(file, "unknown", tokens.size());
    read_special(spec, file, true);
  } else if (model == "bert") {
    read_special(spec, file, false);
    spec.unknown = token_id(file, "unknown", tokens.size());
    read_word_piece(spec, file);
  } else {
    fail(ErrorKind::unsupported,
         "{}: tokenizer.ggml.model '{}' is not known; known are gpt2 (byte-level BPE), llama (SentencePiece "
         "BPE) and bert (WordPiece)",
         file.path().string(), model);
  }
  return spec;
}

}  // namespace lowrank
