#include "tokenizer/steps/decoder.h"

#include <charconv>
#include <optional>

#include "tokenizer/core/byte_level.h"
#include "tokenizer/steps/normalizer.h"

namespace lowrank {
namespace {

/// The byte that a token like <0x0A> stands for.
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

/// Removes the space before punctuation and contractions: the reference's rules, in its order.
std::string cleaned_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules) text = replaced(text, {std::string(from), std::string(to)});
  return text;
}

std::string word_piece_text(const std::string& token, const TokenizerSpec& spec) {
  std::string text =
      token.starts_with(spec.continuing_prefix) ? token.substr(spec.continuing_prefix.size()) : " " + token;
  return spec.decoder.cleanup ? cleaned_up(std::move(text)) : text;
}

}  // namespace

Decoder::Decoder(const TokenizerSpec& spec)
    : tokens_(spec.vocabulary.size()), strip_left_(spec.decoder.word_piece ? 1 : spec.decoder.strip_left) {
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const std::string& name = spec.vocabulary[id];
    std::string& text = tokens_[id].bytes;
    text = name;
    if (name.empty()) continue;
    if (spec.decoder.byte_level) text = from_byte_alphabet(name).value_or(name);
    for (const Replace& replace : spec.decoder.replacements) text = replaced(text, replace);
    const std::optional<char> byte = spec.decoder.byte_fallback ? fallback_byte(name) : std::nullopt;
    tokens_[id].is_byte = byte.has_value();
    if (byte) text.assign(1, *byte);
    if (spec.decoder.word_piece) text = word_piece_text(name, spec);
  }
  for (const AddedToken& token : spec.added) {
    if (token.id >= size()) tokens_.resize(token.id + 1);
    tokens_[token.id] = {token.content, token.special, false};
    if (spec.decoder.word_piece) tokens_[token.id].bytes = word_piece_text(token.content, spec);
  }
}

std::string_view Decoder::bytes_of(int64_t id, bool skip_special_tokens) const {
  if (id < 0 || id >= size() || (skip_special_tokens && tokens_[id].special)) return {};
  return tokens_[id].bytes;
}

std::string Decoder::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<const Token*> tokens;
  for (const int64_t id : ids) {
    const bool known = id >= 0 && id < size();
    if (known && !(skip_special_tokens && tokens_[id].special)) tokens.push_back(&tokens_[id]);
  }
  std::string text;
  for (size_t i = 0; i < tokens.size();) {
    if (!tokens[i]->is_byte) {
      text += tokens[i++]->bytes;
      continue;
    }
    // If a run of fallback bytes is malformed, each of its bytes becomes U+FFFD.
    std::string run;
    for (; i < tokens.size() && tokens[i]->is_byte; ++i) run += tokens[i]->bytes;
    const bool malformed = first_malformed(run).has_value();
    for (size_t byte = 0; malformed && byte < run.size(); ++byte) text += "\uFFFD";
    if (!malformed) text += run;
  }
  for (int64_t i = 0; i < strip_left_ && text.starts_with(' '); ++i) text.erase(0, 1);
  return replace_malformed(text);
}

}  // namespace lowrank
