#include "tokenizer/steps/normalizer.h"

#include <unicode/uchar.h>

#include "tokenizer/steps/bert_text.h"
#include "tokenizer/steps/precompiled.h"
#include "tokenizer/steps/unicode_text.h"

namespace lowrank {
namespace {

/// Marks according to the reference's tables (Unicode 9).
const icu::UnicodeSet& marks() {
  static const icu::UnicodeSet set = character_set("[[[[:M:]&[:Age=9.0:]][\\u1CF2\\u1CF3]]-[\\U000111C9]]");
  return set;
}

std::string in_form(std::string_view text, TextForm form) {
  if (form == TextForm::lowercase) return lowercase(text);
  if (form == TextForm::strip_accents) return without(text, marks());
  return normal_form(text, form);
}

std::string stripped(std::string_view text, const Strip& strip) {
  size_t begin = text.size();
  size_t end = 0;
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    if (u_isUWhiteSpace(character) != 0) return;
    const auto at = static_cast<size_t>(bytes.data() - text.data());
    begin = std::min(begin, at);
    end = at + bytes.size();
  });
  if (!strip.left) begin = 0;
  if (!strip.right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

}  // namespace

Normalizer::Normalizer(std::vector<NormalizerStep> steps, const std::string& where)
    : steps_(std::move(steps)), patterns_(steps_.size()) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto* replace = std::get_if<Replace>(&steps_[i]);
    if (replace && replace->regex) patterns_[i].emplace(Split{replace->pattern}, where);
  }
}

std::string replaced(std::string_view text, const Replace& replace) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  for (size_t done = 0; done <= text.size();) {
    const size_t found = replace.pattern.empty() ? std::string_view::npos : text.find(replace.pattern, done);
    result += text.substr(done, found - done);
    if (found == std::string_view::npos) break;
    result += replace.content;
    done = found + replace.pattern.size();
  }
  return result;
}

std::string Normalizer::apply(std::string_view text, bool continues) const {
  std::string normalised(text);
  for (size_t step = 0; step < steps_.size(); ++step) normalised = after(step, normalised, continues);
  return normalised;
}

std::string Normalizer::after(size_t step, std::string_view text, bool continues) const {
  const NormalizerStep& what = steps_[step];
  if (const auto* form = std::get_if<TextForm>(&what)) return in_form(text, *form);
  if (const auto* strip = std::get_if<Strip>(&what)) return stripped(text, *strip);
  if (const auto* bert = std::get_if<BertNormalizer>(&what)) return bert_normalised(text, *bert);
  if (const auto* map = std::get_if<Precompiled>(&what)) return precompiled(text, map->map);
  if (const auto* replace = std::get_if<Replace>(&what)) {
    const std::optional<Splitter>& pattern = patterns_[step];
    return pattern ? pattern->replaced(text, Splitter::Scratch(text.size()), replace->content)
                   : replaced(text, *replace);
  }
  const auto& prepend = std::get<Prepend>(what);
  return text.empty() || continues ? std::string(text) : prepend.text + std::string(text);
}

}  // namespace lowrank
