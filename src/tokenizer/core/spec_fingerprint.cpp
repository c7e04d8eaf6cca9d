#include "tokenizer/core/spec_fingerprint.h"

#include <string_view>
#include <type_traits>

namespace lowrank {
namespace {

/// Adds parts of a specification; texts and lists with their lengths, so that no two are taken for one.
class Parts {
 public:
  explicit Parts(Fingerprint& all) : all_(all) {}

  template <class... Values>
  void add(const Values&... values) {
    (one(values), ...);
  }

  template <class T>
  void list(const std::vector<T>& values) {
    add(std::ssize(values));
    for (const T& value : values) add(value);
  }

 private:
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void one(T value) { all_.add(static_cast<int64_t>(value)); }
  void one(const std::string& text) {
    all_.add(std::ssize(text));
    all_.add(std::string_view(text));
  }
  void one(const std::pair<std::string, std::string>& texts) { add(texts.first, texts.second); }
  void one(const std::optional<int64_t>& id) { add(id.has_value(), id.value_or(0)); }
  void one(const AddedToken& token) {
    add(token.content, token.id, token.special, token.single_word, token.lstrip, token.rstrip,
        token.normalized);
  }
  void one(const Replace& step) { add(step.pattern, step.content, step.regex); }
  void one(const Prepend& step) { add(step.text); }
  void one(const Strip& step) { add(step.left, step.right); }
  void one(const BertNormalizer& step) {
    add(step.clean_text, step.handle_chinese_chars, step.strip_accents, step.lowercase);
  }
  void one(const Precompiled& step) { add(step.map.bytes()); }
  void one(const TemplatePart& part) { add(part.kind, part.id, part.type); }
  void one(const Split& step) { add(step.pattern, step.behavior, step.invert); }
  void one(const ByteLevel& step) { add(step.add_prefix_space, step.use_regex); }
  void one(const Metaspace& step) { add(step.replacement, step.prepend_scheme, step.split); }
  void one(const BertPreTokenizer&) {}
  template <class... Steps>
  void one(const std::variant<Steps...>& step) {
    add(step.index());
    std::visit([&](const auto& chosen) { add(chosen); }, step);
  }

  Fingerprint& all_;
};

}  // namespace

void add_to(Fingerprint& all, const TokenizerSpec& spec) {
  Parts parts(all);
  parts.add(spec.model, spec.byte_fallback, spec.ignore_merges, spec.fuse_unknown, spec.continuing_prefix,
            spec.max_word_characters, spec.bos, spec.eos, spec.pad, spec.unknown);
  parts.list(spec.vocabulary);
  parts.list(spec.merges);
  parts.list(spec.normalizer);
  parts.list(spec.pre_tokenizer);
  parts.list(spec.added);
  parts.list(spec.prefix);
  parts.list(spec.suffix);
  parts.list(spec.end_tokens);
  parts.list(spec.pair);
  parts.add(std::ssize(spec.scores));
  all.add_values<float>(spec.scores);
  parts.add(std::ssize(spec.log_probabilities));
  all.add_values<double>(spec.log_probabilities);
}

}  // namespace lowrank
