#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/splitter.h"

#include <algorithm>
#include <pcre2.h>

#include "base/error.h"
#include "text/oniguruma.h"

namespace lowrank {

struct Splitter::Code {
  explicit Code(pcre2_code* compiled) : code(compiled, pcre2_code_free) {}
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code;
};

Splitter::Scratch::Scratch()
    : data_(pcre2_match_data_create(1, nullptr),
            [](void* data) { pcre2_match_data_free(static_cast<pcre2_match_data*>(data)); }) {}

Splitter::Splitter(const Split& split, const std::string& where)
    : behavior_(split.behavior), invert_(split.invert) {
  const std::string pattern = from_oniguruma(split.pattern, where);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &offset, nullptr);
  check(code != nullptr, ErrorKind::invalid,
        "{}: the pre-tokenizer's pattern does not compile at character {}: {}", where, offset, split.pattern);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  code_ = std::make_shared<const Code>(code);
}

void Splitter::each_range(std::string_view text, const Scratch& scratch, const Visit& visit) const {
  auto* match = static_cast<pcre2_match_data*>(scratch.data_.get());
  size_t done = 0;
  while (done < text.size()) {
    const int found = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  done, PCRE2_NO_UTF_CHECK, match, nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    // 0: there were more groups than the one range of the whole match has room for.
    check(found >= 0, ErrorKind::invalid, "the text cannot be split into words at byte {} (PCRE2 error {})",
          done, found);
    // The visitor may search again with the same scratch.
    const size_t begin = pcre2_get_ovector_pointer(match)[0];
    const size_t end = pcre2_get_ovector_pointer(match)[1];
    if (end == begin) break;
    if (begin > done) visit({done, begin, invert_});
    visit({begin, end, !invert_});
    done = end;
  }
  if (done < text.size()) visit({done, text.size(), invert_});
}

void Splitter::split(std::string_view text, const Scratch& scratch, const Piece& piece) const {
  const auto give = [&](const Range& range) { piece(text.substr(range.begin, range.end - range.begin)); };
  if (behavior_ == SplitBehavior::isolated) return each_range(text, scratch, give);
  if (behavior_ == SplitBehavior::removed) {
    return each_range(text, scratch, [&](const Range& range) {
      if (!range.match) give(range);
    });
  }
  std::vector<Range> ranges;
  each_range(text, scratch, [&](const Range& range) { ranges.push_back(range); });
  std::vector<Range> joined;
  bool previous = false;
  const bool backwards = behavior_ == SplitBehavior::merged_with_next;
  if (backwards) std::ranges::reverse(ranges);
  for (const Range& range : ranges) {
    const bool contiguous = behavior_ == SplitBehavior::contiguous;
    const bool joins = !joined.empty() && (contiguous ? range.match == previous : range.match && !previous);
    if (joins) {
      joined.back().begin = std::min(joined.back().begin, range.begin);
      joined.back().end = std::max(joined.back().end, range.end);
    } else {
      joined.push_back(range);
    }
    previous = range.match;
  }
  if (backwards) std::ranges::reverse(joined);
  for (const Range& range : joined) give(range);
}

}  // namespace lowrank
