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

std::string to_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  std::string normalised;
  icu::StringByteSink<std::string> sink(&normalised);
  nfc->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, status);
  check(U_SUCCESS(status) != 0, ErrorKind::invalid, "the text cannot be normalised to NFC ({})", u_errorName(status));
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

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec, const std::string& where)
    : spec_(std::move(spec)),
      added_(spec_.added),
      splitter_(spec_.split_patterns, where),
      bpe_(spec_, where),
      bytes_(token_bytes(spec_)),
      special_(bytes_.size()) {
  for (const AddedToken& token : spec_.added) special_[token.id] = token.special;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool special_tokens) const {
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::invalid, "the text is not UTF-8 at byte {}", malformed.value_or(0));
  std::vector<int64_t> ids;
  if (special_tokens) ids = spec_.prefix;
  bool first = true;
  added_.split(
      text, [&](std::string_view plain) { encode_plain(plain, std::exchange(first, false), ids); },
      [&](const AddedToken& token) {
        ids.push_back(token.id);
        first = false;
      });
  if (special_tokens) ids.insert(ids.end(), spec_.suffix.begin(), spec_.suffix.end());
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, bool first, std::vector<int64_t>& ids) const {
  std::string changed;
  if (spec_.nfc) text = changed = to_nfc(text);
  if (spec_.add_prefix_space && first && !text.starts_with(' ')) text = changed = " " + std::string(text);
  splitter_.split(text, [&](std::string_view piece) { bpe_.encode(piece, ids); });
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

bool Tokenizer::ends_generation(int64_t id) const { return std::ranges::find(spec_.end_tokens, id) != spec_.end_tokens.end(); }

std::string StreamDecoder::next(int64_t id) {
  pending_ += tokenizer_->bytes_of(id, true);
  const size_t complete = complete_prefix(pending_);
  std::string text = replace_malformed(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() { return replace_malformed(std::exchange(pending_, {})); }

Tokenizer load_tokenizer(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) {
    return Tokenizer(tokenizer_spec_from_folder(model), (model / "tokenizer.json").string());
  }
  return Tokenizer(tokenizer_spec_from_gguf(GgufFile::open(model)), model.string());
}

}  // namespace lowrank
