#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/core/charsmap.h"

namespace lowrank {

/// Names and meanings follow Hugging Face's tokenizers, which have five stages (added tokens, normaliser,
/// pre-tokenizer, model, post-processor) and a decoder for the way back.

/// A token that is searched for in the text before anything else is done with it.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool special = false;      ///< left out when decoding without special tokens
  bool single_word = false;  ///< only between non-word characters
  bool lstrip = false;       ///< absorbs the white space before it
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< searched for in the normalised text, after the others
};

/// Changes to the text before it is split.
enum class TextForm { nfc, nfd, nfkc, nfkd, lowercase, strip_accents };
struct Replace {
  std::string pattern, content;  ///< all occurrences of the one become the other
  bool regex = false;            ///< the pattern is a regular expression in Oniguruma's dialect
};
struct Prepend {
  std::string text;  ///< in front of each non-empty text, except a continuation
};
struct Strip {
  bool left = true, right = true;  ///< white space at the ends is removed
};
struct BertNormalizer {
  bool clean_text = true;            ///< control characters are removed, white space becomes spaces
  bool handle_chinese_chars = true;  ///< puts spaces around each
  bool strip_accents = true;
  bool lowercase = true;
};
/// SentencePiece's replacements, grapheme by grapheme.
struct Precompiled {
  Charsmap map;
};
using NormalizerStep = std::variant<TextForm, Replace, Prepend, Strip, BertNormalizer, Precompiled>;

/// What the matches of a pattern become: pieces of their own, nothing, part of a neighbour, or one piece with
/// adjacent matches.
enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

/// Steps, applied in order, that split text into the pieces that the model sees.
struct Split {
  std::string pattern;  ///< regular expression in Oniguruma's dialect
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  ///< the gaps count as matches and the matches as gaps
};
struct ByteLevel {
  bool add_prefix_space = false;  ///< in front of each piece that has none
  bool use_regex = true;          ///< split by `gpt2_pattern`
};
enum class PrependScheme { never, first, always };
struct Metaspace {
  std::string replacement = "\u2581";                    ///< for each space
  PrependScheme prepend_scheme = PrependScheme::always;  ///< when it is put in front of a text without one
  bool split = true;                                     ///< split before each
};
/// Splits at white space, which is removed, and around each punctuation character.
struct BertPreTokenizer {};
using PreTokenizerStep = std::variant<Split, ByteLevel, Metaspace, BertPreTokenizer>;

enum class TokenModel { bpe, word_piece, unigram };

/// A part of what two texts become together: a special token, or all tokens of a text.
struct TemplatePart {
  enum class Kind { token, first_text, second_text };
  Kind kind = Kind::token;
  int64_t id = 0;    ///< of a token
  int64_t type = 0;  ///< token type
};

/// From tokens back to text.
struct TokenDecoder {
  bool byte_level = false;            ///< tokens are in the byte alphabet
  std::vector<Replace> replacements;  ///< in each token
  bool byte_fallback = false;         ///< tokens like <0x0A> are bytes
  int64_t strip_left = 0;             ///< leading spaces of the text to remove
  bool word_piece = false;            ///< spaces between tokens, none before `continuing_prefix`
  bool cleanup = false;               ///< and none before punctuation
};

/// Everything that a tokenizer needs, whichever file it was read from.
struct TokenizerSpec {
  TokenModel model = TokenModel::bpe;
  std::vector<std::string> vocabulary;                      ///< by id; empty: no such id
  std::vector<std::pair<std::string, std::string>> merges;  ///< for `bpe`, in order of rank
  /// Instead of merges, as in SentencePiece: two tokens are joined if the result is a token, the one with the
  /// highest score first.
  std::vector<float> scores;
  std::vector<double> log_probabilities;  ///< for `unigram`: by id
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<AddedToken> added;
  bool byte_fallback = false;  ///< a character without a token becomes the tokens <0x..> of its bytes
  bool ignore_merges = false;  ///< a piece that is a token is taken whole
  /// Adjacent characters without a token become one `unknown` (for `unigram` they always do).
  bool fuse_unknown = false;
  std::string continuing_prefix = "##";  ///< for `word_piece`: marks tokens inside a word
  int64_t max_word_characters = 100;     ///< for `word_piece`: longer words are `unknown`
  std::vector<int64_t> prefix, suffix;   ///< special tokens around every encoded text
  std::vector<TemplatePart> pair;        ///< what two texts become; empty: the file does not say
  TokenDecoder decoder;
  std::optional<int64_t> bos, eos, pad;
  std::optional<int64_t> unknown;   ///< for characters that have no token
  std::vector<int64_t> end_tokens;  ///< those that end a generation
  std::string chat_template;
  std::vector<std::string> notes;  ///< what was left out of the file, for the user

  /// Whether some token has the id.
  bool has_token(int64_t id) const {
    return (id >= 0 && id < static_cast<int64_t>(vocabulary.size()) && !vocabulary[id].empty()) ||
           std::any_of(added.begin(), added.end(), [&](const AddedToken& token) { return token.id == id; });
  }

  /// True if pieces are converted to the byte alphabet before the model sees them.
  bool byte_level() const {
    return !pre_tokenizer.empty() && std::holds_alternative<ByteLevel>(pre_tokenizer.back());
  }
};

/// GPT-2's split into words, numbers and punctuation, each with the space before it.
std::string gpt2_pattern();
/// Each digit of any script on its own (the `Digits` pre-tokenizer with individual digits).
std::string digit_pattern();

}  // namespace lowrank
