#include "tokenizer/files/tokenizer_gguf.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tokenizer/files/gguf_pre_tokenizers.h"
#include "tokenizer/steps/normalizer.h"

namespace lowrank {
namespace {

using namespace gguf_token_type;

/// Defaults for keys that the file lacks (llama.cpp's src/llama-vocab.cpp).
struct Defaults {
  bool adds_bos = false;
  std::optional<int64_t> bos = {}, eos = {}, unknown = {}, padding = {}, separator = {};
};
constexpr Defaults sentence_piece_defaults{.adds_bos = true, .bos = 1, .eos = 2, .unknown = 0};
constexpr Defaults bert_defaults{.bos = 101, .unknown = 100, .padding = 0, .separator = 102};

template <typename T>
T need(const GgufFile& file, const char* key) {
  std::optional<T> value = file.find<T>(key);
  check(value.has_value(), ErrorKind::invalid, "{}: the key {} is missing", file.path().string(), key);
  return std::move(*value);
}

/// The token that a key names, else the default one, if the vocabulary has it. Files that mean "none" hold
/// -1, 4294967295 or the size of the vocabulary.
std::optional<int64_t> token_id(TokenizerSpec& spec, const GgufFile& file, const std::string& name,
                                std::optional<int64_t> otherwise = std::nullopt) {
  const auto exists = [&](int64_t id) { return id >= 0 && id < std::ssize(spec.vocabulary); };
  const std::string key = "tokenizer.ggml." + name + "_token_id";
  const std::optional<int64_t> id = file.find<int64_t>(key);
  if (id && exists(*id)) return id;
  if (id) {
    spec.notes.push_back(fmt::format("{}: {} {} is outside the vocabulary of {}, so there is no such token",
                                     file.path().string(), key, *id, spec.vocabulary.size()));
  }
  return otherwise && exists(*otherwise) ? otherwise : std::nullopt;
}

void read_merges(TokenizerSpec& spec, const GgufFile& file) {
  for (const std::string_view merge : need<std::vector<std::string_view>>(file, "tokenizer.ggml.merges")) {
    // The left part is never empty, so a space at the start belongs to it.
    const size_t space = merge.find(' ', 1);
    check(space != std::string_view::npos, ErrorKind::invalid,
          "{}: tokenizer.ggml.merges holds \"{}\" without a space", file.path().string(), merge);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

/// Returns whether texts begin with BOS if the file does not say.
bool read_byte_level(TokenizerSpec& spec, const GgufFile& file) {
  read_merges(spec, file);
  std::string name = file.find<std::string>("tokenizer.ggml.pre").value_or("");
  if (name.empty()) name = "default";
  const GgufPreTokenizer* known = gguf_pre_tokenizer(name);
  check(known != nullptr, ErrorKind::unsupported, "{}: tokenizer.ggml.pre '{}' is not known; known are {}",
        file.path().string(), name, gguf_pre_tokenizer_names());
  for (const std::string_view pattern : known->patterns)
    spec.pre_tokenizer.emplace_back(Split{std::string(pattern)});
  const bool space = file.find<bool>("tokenizer.ggml.add_space_prefix").value_or(false);
  spec.pre_tokenizer.emplace_back(ByteLevel{space, known->then_gpt2});
  spec.ignore_merges = known->ignore_merges;
  spec.decoder.byte_level = true;
  return known->adds_bos;
}

bool is_spaces(const std::string& token) {
  return !token.empty() && token.find_first_not_of(' ') == std::string::npos;
}

/// Gemma's scores do not follow the order of its merges, but the order of its vocabulary does. Runs of
/// spaces, which the file spells as spaces, also come from merges.
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

/// BERT's WordPiece. The file marks tokens that begin a word; BERT marks the others.
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
  BertNormalizer normalizer;
  normalizer.lowercase = file.find<bool>("tokenizer.ggml.normalizer.lowercase").value_or(true);
  normalizer.strip_accents =
      file.find<bool>("tokenizer.ggml.normalizer.strip_accents").value_or(normalizer.lowercase);
  spec.normalizer.emplace_back(normalizer);
  spec.pre_tokenizer.emplace_back(BertPreTokenizer{});
  spec.decoder.word_piece = spec.decoder.cleanup = true;
  spec.prefix.clear();
  spec.suffix.clear();
  const auto first = token_id(spec, file, "cls", spec.bos);
  if (first) spec.prefix = {*first};
  if (const auto last = token_id(spec, file, "seperator", bert_defaults.separator)) spec.suffix = {*last};
}

/// Special and user-defined tokens, which are found before the text is split.
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

void read_special(TokenizerSpec& spec, const GgufFile& file, const Defaults& defaults) {
  spec.bos = token_id(spec, file, "bos", defaults.bos);
  spec.eos = token_id(spec, file, "eos", defaults.eos);
  spec.pad = token_id(spec, file, "padding", defaults.padding);
  if (defaults.unknown) spec.unknown = token_id(spec, file, "unknown", defaults.unknown);
  for (const auto& id : {spec.eos, token_id(spec, file, "eot"), token_id(spec, file, "eom")}) {
    if (id && std::ranges::find(spec.end_tokens, *id) == spec.end_tokens.end())
      spec.end_tokens.push_back(*id);
  }
  if (spec.bos && file.find<bool>("tokenizer.ggml.add_bos_token").value_or(defaults.adds_bos))
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
    const bool adds_bos = read_byte_level(spec, file);
    read_special(spec, file, {.adds_bos = adds_bos});
  } else if (model == "llama") {
    read_sentence_piece(spec, file);
    read_special(spec, file, sentence_piece_defaults);
  } else if (model == "bert") {
    read_special(spec, file, bert_defaults);
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
