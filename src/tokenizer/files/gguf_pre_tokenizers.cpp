#include "tokenizer/files/gguf_pre_tokenizers.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lowrank {
namespace {

/// Llama 3's word pattern: letters in runs, digits in groups of up to three.
constexpr std::string_view llama3_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// The names are llama.cpp's; the patterns are those of the models' own tokenizer.json.
const std::vector<GgufPreTokenizer>& table() {
  static const std::vector<GgufPreTokenizer> entries = {
      {{"gpt-2", "default", "phi-2", "jina-v1-en", "jina-v2-code", "jina-v2-de", "jina-v2-es", "roberta-bpe",
        "modern-bert", "gigachat", "mellum", "exaone4", "mpt", "olmo"},
       {},
       true},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
       {R"(\p{N})"},
       true},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {llama3_words},
       false,
       true,
       true},
      {{"smaug-bpe", "dbrx"}, {llama3_words}},
      {{"chameleon"},
       {R"(<sentinel:[0-9]+>)", R"(IMGIMG[A-I]{1,4}Z)", R"([\t\n]|    |  )", R"(\p{N})",
        R"([\p{P}!-/:-@\[-`{-~])"},
       true,
       false,
       true},
      {{"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"},
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {{"qwen35"},
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {{"tekken"},
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
       false,
       true,
       true},
      {{"gpt-4o"},
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
  };
  return entries;
}

}  // namespace

const GgufPreTokenizer* gguf_pre_tokenizer(std::string_view name) {
  for (const GgufPreTokenizer& entry : table()) {
    if (std::ranges::find(entry.names, name) != entry.names.end()) return &entry;
  }
  return nullptr;
}

const GgufPreTokenizer* gguf_pre_tokenizer_of(const TokenizerSpec& spec) {
  if (!spec.byte_level()) return nullptr;
  std::vector<std::string_view> patterns;
  for (const PreTokenizerStep& step : std::span(spec.pre_tokenizer).first(spec.pre_tokenizer.size() - 1)) {
    const auto* split = std::get_if<Split>(&step);
    if (!split || split->behavior != SplitBehavior::isolated || split->invert) return nullptr;
    patterns.push_back(split->pattern);
  }
  const bool by_gpt2 = std::get<ByteLevel>(spec.pre_tokenizer.back()).use_regex;
  const auto found = std::ranges::find_if(table(), [&](const GgufPreTokenizer& entry) {
    return entry.patterns == patterns && entry.then_gpt2 == by_gpt2 &&
           entry.ignore_merges == spec.ignore_merges;
  });
  return found == table().end() ? nullptr : &*found;
}

std::string gguf_pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const GgufPreTokenizer& entry : table())
    names.insert(names.end(), entry.names.begin(), entry.names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace lowrank
