#include "text/tokenizer.h"

#include <algorithm>

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include "base/error.h"
#include "formats/gguf.h"
#include "text/byte_level.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"

namespace lowrank {
namespace {

/// ICU and the merge links count in 32 bits.
constexpr size_t max_text_bytes = size_t{1} << 30;

std::string to_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  std::string normalised;
  icu::StringByteSink<std::string> sink(&normalised);
  nfc->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr,
                     status);
  check(U_SUCCESS(status) != 0, ErrorKind::invalid, "the text cannot be normalised to NFC ({})",
        u_errorName(status));
  return normalised;
}

std::vector<std::string> token_bytes(const TokenizerSpec& spec) {
  std::vector<std::string> bytes(spec.vocabulary.size());
  for (size_t id = 0; id < bytes.size(); ++id) {
    bytes[id] = from_byte_alphabet(spec.vocabulary[id]).value_or(spec.vocabulary[id]);
  }
  for (const AddedToken& token : spec.added) {
    if (token.id >= static_cast<int64_t>(bytes.size())) bytes.resize(token.id + 1);
    bytes[token.id] = token.content;
  }
  return bytes;
}

/// The added tokens that are looked for before (`normalized` false) or after normalisation.
AddedTokens added_tokens(const TokenizerSpec& spec, bool normalized) {
  std::vector<AddedToken> chosen;
  for (AddedToken token : spec.added) {
    if (token.normalized != normalized) continue;
    if (normalized && spec.nfc) token.content = to_nfc(token.content);
    chosen.push_back(std::move(token));
  }
  return AddedTokens(std::move(chosen));
}

std::vector<std::string> word_patterns(const TokenizerSpec& spec) {
  return spec.split_words ? std::vector{gpt2_pattern()} : std::vector<std::string>{};
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec, const std::string& where)
    : spec_(std::move(spec)),
      added_(added_tokens(spec_, false)),
      added_normalized_(added_tokens(spec_, true)),
      splitter_(spec_.split_patterns, where),
      words_(word_patterns(spec_), where),
      bpe_(spec_, where),
      bytes_(token_bytes(spec_)),
      special_(bytes_.size()) {
  for (const AddedToken& token : spec_.added) special_[token.id] = token.special;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool special_tokens) const {
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::invalid, "the text is not UTF-8 at byte {}", malformed.value_or(0));
  check(text.size() <= max_text_bytes, ErrorKind::invalid,
        "a text of {} bytes is more than the {} that can be tokenised", text.size(), max_text_bytes);
  std::vector<int64_t> ids;
  if (special_tokens) ids = spec_.prefix;
  const auto take = [&](const AddedToken& token) { ids.push_back(token.id); };
  added_.split(
      text,
      [&](std::string_view plain) {
        const std::string normalised = spec_.nfc ? to_nfc(plain) : std::string();
        added_normalized_.split(
            spec_.nfc ? normalised : plain, [&](std::string_view rest) { encode_plain(rest, ids); }, take);
      },
      take);
  if (special_tokens) ids.insert(ids.end(), spec_.suffix.begin(), spec_.suffix.end());
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<int64_t>& ids) const {
  const auto encode_word = [&](std::string_view word) { bpe_.encode(word, ids); };
  splitter_.split(text, [&](std::string_view piece) {
    if (spec_.add_prefix_space && !piece.starts_with(' ')) {
      words_.split(" " + std::string(piece), encode_word);
    } else {
      words_.split(piece, encode_word);
    }
  });
}

std::string_view Tokenizer::bytes_of(int64_t id, bool skip_special_tokens) const {
  if (id < 0 || id >= vocabulary_size() || (skip_special_tokens && special_[id])) return {};
  return bytes_[id];
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const int64_t id : ids) bytes += bytes_of(id, skip_special_tokens);
  return replace_malformed(bytes);
}

bool Tokenizer::ends_generation(int64_t id) const {
  return std::ranges::find(spec_.end_tokens, id) != spec_.end_tokens.end();
}

std::string StreamDecoder::next(int64_t id) {
  pending_ += tokenizer_->bytes_of(id, true);
  const size_t complete = complete_prefix(pending_);
  std::string text = replace_malformed(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  return replace_malformed(std::exchange(pending_, {}));
}

Tokenizer load_tokenizer(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) {
    return Tokenizer(tokenizer_spec_from_folder(model), (model / "tokenizer.json").string());
  }
  return Tokenizer(tokenizer_spec_from_gguf(GgufFile::open(model)), model.string());
}

std::optional<Tokenizer> find_tokenizer(const std::filesystem::path& model) {
  const bool has_one = std::filesystem::is_directory(model)
                           ? std::filesystem::exists(model / "tokenizer.json")
                           : GgufFile::open(model).find<std::string>("tokenizer.ggml.model").has_value();
  return has_one ? std::optional(load_tokenizer(model)) : std::nullopt;
}

}  // namespace lowrank
