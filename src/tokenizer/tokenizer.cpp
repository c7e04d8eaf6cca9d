#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "formats/gguf.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/files/tokenizer_json.h"

namespace lowrank {
namespace {

/// ICU and the merge links use 32-bit indices.
constexpr size_t max_text_bytes = size_t{1} << 30;

/// Added tokens that end a text or a turn in any model (llama.cpp's list, src/llama-vocab.cpp).
constexpr std::array<std::string_view, 12> end_texts{
    "<|eot_id|>",      "<|im_end|>",         "<|end|>", "<|return|>",
    "<end_of_turn>",   "<|endoftext|>",      "</s>",    "<|eom_id|>",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>",   "<|END_OF_TURN_TOKEN|>"};

/// The added tokens that are searched for before (`normalized` false) or after normalisation.
AddedTokens added_tokens(const TokenizerSpec& spec, bool normalized, const std::string& where) {
  const Normalizer normalizer(spec.normalizer, where);
  std::vector<AddedToken> chosen;
  for (AddedToken token : spec.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.content = normalizer.apply(token.content, false);
    chosen.push_back(std::move(token));
  }
  return AddedTokens(std::move(chosen));
}

std::variant<Bpe, WordPiece, Unigram> model_of(const TokenizerSpec& spec, const std::string& where) {
  if (spec.model == TokenModel::word_piece) return WordPiece(spec, where);
  if (spec.model == TokenModel::unigram) return Unigram(spec, where);
  return Bpe(spec, where);
}

/// How many tokens of two texts fit into `room`: the longer one loses tokens first (the reference's
/// `longest_first`).
std::pair<int64_t, int64_t> kept_of_pair(int64_t first, int64_t second, int64_t room) {
  if (first + second <= room) return {first, second};
  const bool swapped = first > second;
  int64_t shorter = std::min(first, second);
  int64_t longer = std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = room - shorter;
  }
  return swapped ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec, const std::string& where)
    : spec_(std::move(spec)),
      added_(added_tokens(spec_, false, where)),
      added_normalized_(added_tokens(spec_, true, where)),
      normalizer_(spec_.normalizer, where),
      pre_tokenizer_(spec_.pre_tokenizer, where),
      model_(model_of(spec_, where)),
      decoder_(spec_) {
  for (const AddedToken& token : spec_.added) {
    const bool known = std::ranges::find(end_texts, token.content) != end_texts.end();
    if (!token.content.empty() && (known || ends_generation(token.id))) ends_.push_back(token.content);
  }
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool special_tokens) const {
  TokenSink sink;
  if (special_tokens) sink.ids = spec_.prefix;
  encode(text, false, sink);
  if (special_tokens) sink.ids.insert(sink.ids.end(), spec_.suffix.begin(), spec_.suffix.end());
  return std::move(sink.ids);
}

Tokenizer::Pair Tokenizer::encode_pair(std::string_view first, std::string_view second, int64_t most) const {
  check(!spec_.pair.empty(), ErrorKind::unsupported,
        "the tokenizer has no template for pairs of texts (post_processor)");
  TokenSink left(most), right(most);
  encode(first, false, left);
  encode(second, false, right);
  const auto special = std::ranges::count(spec_.pair, TemplatePart::Kind::token, &TemplatePart::kind);
  Pair pair;
  pair.length = left.count() + right.count() + special;
  const auto [first_kept, second_kept] =
      kept_of_pair(left.count(), right.count(), std::max<int64_t>(most - special, 0));
  for (const TemplatePart& part : spec_.pair) {
    const auto before = std::ssize(pair.ids);
    if (part.kind == TemplatePart::Kind::token) pair.ids.push_back(part.id);
    if (part.kind == TemplatePart::Kind::first_text)
      pair.ids.insert(pair.ids.end(), left.ids.begin(), left.ids.begin() + first_kept);
    if (part.kind == TemplatePart::Kind::second_text)
      pair.ids.insert(pair.ids.end(), right.ids.begin(), right.ids.begin() + second_kept);
    pair.type_one = part.type > 0 ? pair.type_one + std::ssize(pair.ids) - before : 0;
  }
  return pair;
}

std::vector<int64_t> Tokenizer::encode_continuation(std::string_view text) const {
  TokenSink sink;
  encode(text, true, sink);
  return std::move(sink.ids);
}

void Tokenizer::encode(std::string_view text, bool continues, TokenSink& ids) const {
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::invalid, "the text is not UTF-8 at byte {}", malformed.value_or(0));
  check(text.size() <= max_text_bytes, ErrorKind::invalid,
        "a text of {} bytes is more than the {} that can be tokenised", text.size(), max_text_bytes);
  const PreTokenizer::Piece encode_piece = [&](std::string_view piece) {
    std::visit([&](const auto& model) { model.encode(piece, ids); }, model_);
  };
  const Splitter::Scratch scratch(text.size());
  bool first = true;  // nothing has been encoded yet
  const auto take = [&](const AddedToken& token) {
    ids.push(token.id);
    first = false;
  };
  const auto encode_rest = [&](std::string_view rest) {
    pre_tokenizer_.split(rest, first, continues && first, scratch, encode_piece);
    first = false;
  };
  added_.split(
      text,
      [&](std::string_view plain) {
        if (normalizer_.changes_nothing()) return added_normalized_.split(plain, encode_rest, take);
        std::string normalised = normalizer_.apply(plain, false);
        // An added token whose text includes what the normaliser puts in front is also found in a
        // continuation.
        if (continues && first && !added_normalized_.begin(normalised))
          normalised = normalizer_.apply(plain, true);
        added_normalized_.split(normalised, encode_rest, take);
      },
      take);
}

bool Tokenizer::ends_generation(int64_t id) const {
  return std::ranges::find(spec_.end_tokens, id) != spec_.end_tokens.end();
}

bool Tokenizer::ends_closed(std::string_view text) const {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  return std::ranges::any_of(ends_, [&](const std::string& end) { return text.ends_with(end); });
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
  const bool folder = std::filesystem::is_directory(model);
  TokenizerSpec spec =
      folder ? tokenizer_spec_from_folder(model) : tokenizer_spec_from_gguf(GgufFile::open(model));
  for (const std::string& note : spec.notes) warn("{}", note);
  return Tokenizer(std::move(spec), (folder ? model / "tokenizer.json" : model).string());
}

std::optional<Tokenizer> find_tokenizer(const std::filesystem::path& model) {
  // llama.cpp's converter names `none` where it was told to leave the vocabulary out.
  const bool has_one =
      std::filesystem::is_directory(model)
          ? std::filesystem::exists(model / "tokenizer.json")
          : GgufFile::open(model).find<std::string>("tokenizer.ggml.model").value_or("none") != "none";
  return has_one ? std::optional(load_tokenizer(model)) : std::nullopt;
}

}  // namespace lowrank
