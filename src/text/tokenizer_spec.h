#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lowrank {

/// The names and meanings below are those of Hugging Face's tokenizers, whose five stages these are: added
/// tokens, normaliser, pre-tokenizer, model, post-processor; and the decoder for the way back.

/// A token that is found in the text before anything else looks at it.
struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool special = false;      ///< left out when decoding without special tokens
  bool single_word = false;  ///< only between non-word characters
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalised text, after those that are not
};

/// Changes of the text before it is cut.
enum class TextForm { nfc, nfd, nfkc, nfkd, lowercase, strip_accents };
struct Replace {
  std::string pattern, content;  ///< all occurrences of the one become the other
};
struct Prepend {
  std::string text;  ///< in front of each text that is not empty; of a continuation not
};
struct Strip {
  bool left = true, right = true;  ///< white space at the ends goes
};
struct BertNormalizer {
  bool clean_text = true;            ///< control characters go, white space becomes spaces
  bool handle_chinese_chars = true;  ///< spaces around each
  bool strip_accents = true;
  bool lowercase = true;
};
using NormalizerStep = std::variant<TextForm, Replace, Prepend, Strip, BertNormalizer>;

/// What becomes of the matches of a pattern: pieces of their own, nothing, part of a neighbour, or one piece
/// with the matches beside them.
enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

/// Cuts text into the pieces that the model sees, one step after the other.
struct Split {
  std::string pattern;  ///< regular expression as Oniguruma reads it
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  ///< the gaps count as matches and the matches as gaps
};
struct ByteLevel {
  bool add_prefix_space = false;  ///< in front of each piece that has none
  bool use_regex = true;          ///< cut by `gpt2_pattern`
};
enum class PrependScheme { never, first, always };
struct Metaspace {
  std::string replacement = "\u2581";                    ///< for each space
  PrependScheme prepend_scheme = PrependScheme::always;  ///< where it is put in front of what has none
  bool split = true;                                     ///< cut before each
};
/// At white space, which goes, and around each punctuation character.
struct BertPreTokenizer {};
using PreTokenizerStep = std::variant<Split, ByteLevel, Metaspace, BertPreTokenizer>;

enum class TokenModel { bpe, word_piece };

/// From tokens back to text.
struct TokenDecoder {
  bool byte_level = false;            ///< tokens are in the byte alphabet
  std::vector<Replace> replacements;  ///< in each token
  bool byte_fallback = false;         ///< tokens like <0x0A> are bytes
  int64_t strip_left = 0;             ///< spaces at the front of the text that go
  bool word_piece = false;            ///< spaces between tokens, none before `continuing_prefix`
  bool cleanup = false;               ///< and none before punctuation
};

/// Everything that a tokenizer needs, whichever file it was read from.
struct TokenizerSpec {
  TokenModel model = TokenModel::bpe;
  std::vector<std::string> vocabulary;                      ///< by id; empty: no such id
  std::vector<std::pair<std::string, std::string>> merges;  ///< of `bpe`, in order of rank
  /// Instead of merges, as SentencePiece has it: two tokens are joined where that gives a token, the one with
  /// the highest score first.
  std::vector<float> scores;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<AddedToken> added;
  bool byte_fallback = false;  ///< a character without a token becomes the tokens <0x..> of its bytes
  bool ignore_merges = false;  ///< a piece that is a token is taken whole
  bool fuse_unknown = false;   ///< adjacent characters without a token become one `unknown`
  std::string continuing_prefix = "##";  ///< of `word_piece`: marks tokens inside a word
  int64_t max_word_characters = 100;     ///< of `word_piece`: longer words are `unknown`
  std::vector<int64_t> prefix, suffix;   ///< special tokens around every encoded text
  TokenDecoder decoder;
  std::optional<int64_t> bos, eos, pad;
  std::optional<int64_t> unknown;   ///< for characters that have no token
  std::vector<int64_t> end_tokens;  ///< those that end a generation
  std::string chat_template;
  std::vector<std::string> notes;  ///< what of the file was left out, for the user

  /// Whether a token has the id.
  bool has_token(int64_t id) const {
    return (id >= 0 && id < static_cast<int64_t>(vocabulary.size()) && !vocabulary[id].empty()) ||
           std::any_of(added.begin(), added.end(), [&](const AddedToken& token) { return token.id == id; });
  }

  /// True where pieces go into the byte alphabet before the model sees them.
  bool byte_level() const {
    return !pre_tokenizer.empty() && std::holds_alternative<ByteLevel>(pre_tokenizer.back());
  }
};

/// GPT-2's split into words, numbers and punctuation, each with the space before it.
std::string gpt2_pattern();
/// Every digit of any script alone (the `Digits` pre-tokenizer with individual digits).
std::string digit_pattern();

}  // namespace lowrank
