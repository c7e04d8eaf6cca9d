#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenizer/core/token_sink.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/models/bpe.h"
#include "tokenizer/models/unigram.h"
#include "tokenizer/models/word_piece.h"
#include "tokenizer/steps/added_tokens.h"
#include "tokenizer/steps/decoder.h"
#include "tokenizer/steps/normalizer.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace lowrank {

/// Text to token ids and back, as Hugging Face's tokenizers compute them. All functions may be called from
/// several threads at once.
class Tokenizer {
 public:
  /// Errors: invalid; `where` names the file.
  Tokenizer(TokenizerSpec spec, const std::string& where);

  /// Ids of a text. `special_tokens`: put the post-processor's tokens (such as BOS) around it. Added tokens
  /// in the text become their ids. Errors: invalid, with the offset, if the text is not UTF-8 or the
  /// pre-tokenizer's regular expression takes too long on it.
  std::vector<int64_t> encode(std::string_view text, bool special_tokens) const;

  /// The ids of two texts together.
  struct Pair {
    std::vector<int64_t> ids;
    int64_t type_one = 0;  ///< ids at the end that have token type 1
    int64_t length = 0;    ///< number of ids if none had been cut off
  };

  /// Ids of two texts as the post-processor puts them together. Of more than `most` ids, the longer text
  /// loses tokens at its end until both are equally long, then both do. Errors: unsupported without a
  /// template for pairs; as encode.
  Pair encode_pair(std::string_view first, std::string_view second, int64_t most) const;

  /// Ids of a text that follows another one: without special tokens and without the space that
  /// SentencePiece's tokenizers put in front of a text. Errors: as encode.
  std::vector<int64_t> encode_continuation(std::string_view text) const;

  /// Appends the ids of a text without special tokens; `continues`: as encode_continuation. A sink that keeps
  /// only a few ids bounds the memory for a long text. Errors: as encode.
  void encode(std::string_view text, bool continues, TokenSink& ids) const;

  /// The text of ids; malformed UTF-8 becomes U+FFFD. Ids outside the vocabulary yield nothing. The space
  /// that encoding puts in front of a text is removed. Added tokens yield their text unchanged (the reference
  /// garbles those that contain Latin-1 letters and nothing above U+0143).
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
    return decoder_.decode(ids, skip_special_tokens);
  }

  /// Bytes of one token, which may be part of a character; empty for special tokens if they are skipped.
  std::string_view bytes_of(int64_t id, bool skip_special_tokens) const {
    return decoder_.bytes_of(id, skip_special_tokens);
  }

  const TokenizerSpec& spec() const { return spec_; }
  int64_t vocabulary_size() const { return decoder_.size(); }
  bool ends_generation(int64_t id) const;

  /// Whether a text ends with a token that ends a text or a chat turn (ignoring white space after it).
  bool ends_closed(std::string_view text) const;

 private:
  TokenizerSpec spec_;
  AddedTokens added_, added_normalized_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::variant<Bpe, WordPiece, Unigram> model_;
  Decoder decoder_;
  std::vector<std::string> ends_;  ///< texts of the tokens that end a text or a turn
};

/// Decodes one token at a time and returns only complete characters.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  /// The text that the token completes; possibly empty.
  std::string next(int64_t id);
  /// What is left, with a cut-off character replaced.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

/// The tokenizer of a Hugging Face folder or a GGUF file. Warns about what is left out. Errors: not_found,
/// corrupt, unsupported, the key named.
Tokenizer load_tokenizer(const std::filesystem::path& model);

/// The same, or nothing if the model has no tokenizer (already tokenised rows need none).
std::optional<Tokenizer> find_tokenizer(const std::filesystem::path& model);

}  // namespace lowrank
