#include <algorithm>
#include <cctype>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/one_line.h"
#include "tokenizer/files/gguf_pre_tokenizers.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/steps/normalizer.h"

namespace lowrank {
namespace {

using namespace gguf_token_type;

/// Scores of tokens that no merge makes: below all others.
constexpr float never_merged = -1e9F;

[[noreturn]] void refuse(const std::string& where, std::string_view what) {
  throw Error(ErrorKind::unsupported, fmt::format("{}: a GGUF file cannot hold {}", where, what));
}

bool is_byte_token(std::string_view token) {
  const auto digit = [](unsigned char c) { return std::isxdigit(c) != 0; };
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>' && digit(token[3]) &&
         digit(token[4]);
}

/// Token texts and types by id, one for each row of the embedding.
struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
};

Tokens tokens_of(const TokenizerSpec& spec, int64_t rows, bool has_bytes, std::vector<std::string>& notes) {
  Tokens tokens;
  for (int64_t id = 0; id < rows; ++id) {
    const bool known = id < std::ssize(spec.vocabulary) && !spec.vocabulary[id].empty();
    tokens.texts.push_back(known ? spec.vocabulary[id] : fmt::format("[PAD{}]", id));
    tokens.types.push_back(!known ? unused : has_bytes && is_byte_token(tokens.texts.back()) ? byte : normal);
  }
  int64_t beyond = std::max<int64_t>(0, std::ssize(spec.vocabulary) - rows);
  int64_t with_options = 0;
  for (const AddedToken& token : spec.added) {
    if (token.id >= rows) {
      beyond += token.id >= std::ssize(spec.vocabulary) ? 1 : 0;
      continue;
    }
    with_options += token.lstrip || token.rstrip || token.single_word ? 1 : 0;
    tokens.texts[token.id] = token.content;
    tokens.types[token.id] = token.special ? control : user_defined;
  }
  if (spec.unknown && *spec.unknown < rows) tokens.types[*spec.unknown] = unknown;
  if (beyond > 0)
    notes.push_back(fmt::format("{} tokens have no row in the embedding and are left out", beyond));
  if (with_options > 0)
    notes.push_back(
        fmt::format("{} added tokens absorb white space beside them, or stand between words only; "
                    "GGUF files do not say so",
                    with_options));
  return tokens;
}

/// The merges whose parts and results are tokens of the file, one a line.
std::vector<std::string> merge_lines(const TokenizerSpec& spec, const Tokens& tokens) {
  const std::unordered_set<std::string_view> known(tokens.texts.begin(), tokens.texts.end());
  // A space inside a part is written as the byte alphabet writes it, since a space separates the parts.
  const auto part = [](const std::string& text) { return replaced(text, {" ", "\u0120"}); };
  std::vector<std::string> lines;
  for (const auto& [left, right] : spec.merges) {
    if (known.contains(left) && known.contains(right) && known.contains(left + right))
      lines.push_back(part(left) + " " + part(right));
  }
  return lines;
}

/// SentencePiece joins the two tokens whose result has the highest score: the earliest merge.
std::vector<float> scores_of(const TokenizerSpec& spec, const Tokens& tokens) {
  std::unordered_map<std::string, size_t> ranks;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank)
    ranks.try_emplace(spec.merges[rank].first + spec.merges[rank].second, rank);
  std::vector<float> scores;
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const auto found = ranks.find(tokens.texts[id]);
    const bool given = id < spec.scores.size() && tokens.types[id] == normal;
    scores.push_back(given                      ? spec.scores[id]
                     : tokens.types[id] == byte ? 0
                     : found == ranks.end()     ? never_merged
                                                : -static_cast<float>(found->second));
  }
  return scores;
}

void write_byte_level(const TokenizerSpec& spec, const std::string& where, std::vector<std::string>& notes,
                      GgufMetadata& keys) {
  const GgufPreTokenizer* pre = gguf_pre_tokenizer_of(spec);
  if (!pre)
    refuse(where, "its tokenizer's splits: no tokenizer.ggml.pre of llama.cpp that is known here has them");
  for (const NormalizerStep& step : spec.normalizer) {
    const auto* form = std::get_if<TextForm>(&step);
    if (!form || *form != TextForm::nfc) refuse(where, "its tokenizer's normaliser");
    notes.emplace_back("its tokenizer's NFC is left out: llama.cpp takes texts as they are");
  }
  keys.set_string("tokenizer.ggml.pre", pre->names.front());
  if (std::get<ByteLevel>(spec.pre_tokenizer.back()).add_prefix_space)
    keys.set_bool("tokenizer.ggml.add_space_prefix", true);
}

/// Whether a space comes before each text. Errors: unsupported unless spaces become SentencePiece's mark and
/// nothing else changes.
bool puts_space_first(const TokenizerSpec& spec, const std::string& where) {
  const std::string mark = Metaspace{}.replacement;
  bool first = false, marked = false;
  for (const NormalizerStep& step : spec.normalizer) {
    const auto* replace = std::get_if<Replace>(&step);
    const auto* prepend = std::get_if<Prepend>(&step);
    if (replace && replace->pattern == " " && replace->content == mark)
      marked = true;
    else if (prepend && prepend->text == mark)
      first = true;
    else
      refuse(where, "its tokenizer's normaliser");
  }
  for (const PreTokenizerStep& step : spec.pre_tokenizer) {
    const auto* space = std::get_if<Metaspace>(&step);
    // After the normaliser, a split at spaces finds none.
    if (!space && marked && std::holds_alternative<Split>(step)) continue;
    if (!space || space->split || space->replacement != mark) refuse(where, "its tokenizer's splits");
    marked = true;
    first = first || space->prepend_scheme != PrependScheme::never;
  }
  if (!marked) refuse(where, "its tokenizer: spaces are no part of its tokens");
  return first;
}

void write_special(const TokenizerSpec& spec, int64_t rows, const std::string& where,
                   std::vector<std::string>& notes, GgufMetadata& keys) {
  const auto put = [&](std::string_view name, const std::optional<int64_t>& id) {
    if (id && *id < rows)
      keys.set_number(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(*id));
  };
  put("bos", spec.bos);
  put("eos", spec.eos);
  put("unknown", spec.unknown);
  put("padding", spec.pad);
  std::vector<int64_t> ends;
  std::ranges::copy_if(spec.end_tokens, std::back_inserter(ends), [&](int64_t id) { return id != spec.eos; });
  constexpr std::string_view names[] = {"eot", "eom"};
  for (size_t i = 0; i < std::min(ends.size(), std::size(names)); ++i) put(names[i], ends[i]);
  if (ends.size() > std::size(names)) notes.emplace_back("of its end tokens the first three are written");
  const bool begins = spec.bos && spec.prefix == std::vector{*spec.bos};
  const bool ends_with = spec.eos && spec.suffix == std::vector{*spec.eos};
  if ((!begins && !spec.prefix.empty()) || (!ends_with && !spec.suffix.empty()))
    refuse(where, "the tokens that its tokenizer puts around texts: only BOS before and EOS after them");
  keys.set_bool("tokenizer.ggml.add_bos_token", begins);
  keys.set_bool("tokenizer.ggml.add_eos_token", ends_with);
  if (!spec.chat_template.empty()) keys.set_string("tokenizer.chat_template", spec.chat_template);
}

}  // namespace

std::vector<std::string> write_tokenizer_keys(const TokenizerSpec& spec, int64_t rows,
                                              bool merges_from_vocabulary, const std::string& where,
                                              GgufMetadata& keys) {
  if (spec.model != TokenModel::bpe) refuse(where, "the WordPiece or Unigram tokenizer of a decoder");
  const bool sentence_piece = !spec.byte_level();
  if (sentence_piece && !spec.byte_fallback)
    refuse(where, "its tokenizer: its tokens are neither bytes nor have bytes");
  std::vector<std::string> notes;
  Tokens tokens = tokens_of(spec, rows, sentence_piece, notes);
  keys.set_string("tokenizer.ggml.model", sentence_piece ? "llama" : "gpt2");
  if (sentence_piece) {
    const bool space = puts_space_first(spec, where);
    const std::vector<float> scores = scores_of(spec, tokens);
    keys.set_string("tokenizer.ggml.pre", "default");
    keys.set_numbers<float>("tokenizer.ggml.scores", scores);
    keys.set_bool("tokenizer.ggml.add_space_prefix", space);
    const std::string mark = Metaspace{}.replacement;
    for (size_t id = 0; id < tokens.texts.size(); ++id) {
      const bool marks = replaced(tokens.texts[id], {mark, ""}).empty();
      if (tokens.types[id] == user_defined && marks)
        tokens.texts[id] = replaced(tokens.texts[id], {mark, " "});
    }
  } else {
    write_byte_level(spec, where, notes, keys);
  }
  keys.set_strings("tokenizer.ggml.tokens", tokens.texts);
  keys.set_numbers<int32_t>("tokenizer.ggml.token_type", tokens.types);
  // llama.cpp needs no merges where there are scores; with them, ours are the tokenizer's own.
  if (!merges_from_vocabulary && !spec.merges.empty())
    keys.set_strings("tokenizer.ggml.merges", merge_lines(spec, tokens));
  write_special(spec, rows, where, notes, keys);
  return notes;
}

}  // namespace lowrank
