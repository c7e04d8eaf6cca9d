#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/steps/splitter.h"

#include <optional>
#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/steps/oniguruma.h"

namespace lowrank {
namespace {

// Steps as PCRE2's JIT compiler counts them, a few nanoseconds each. Ordinary patterns take a few at most
// positions, and about one per byte in a long run of blanks or capitals.
constexpr uint32_t easy_limit = 1000;
constexpr uint32_t hardest_limit = 1'000'000'000;
constexpr uint64_t free_steps = 200'000'000;
constexpr uint64_t steps_a_byte = 100;
/// Stack for repeated groups in long runs, allocated only when needed.
constexpr size_t stack_bytes = size_t{32} << 20;

}  // namespace

struct Splitter::Code {
  explicit Code(pcre2_code* compiled) : code(compiled, pcre2_code_free) {}
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code;
};

struct Splitter::Scratch::Work {
  template <typename T>
  using Handle = std::unique_ptr<T, void (*)(T*)>;

  Handle<pcre2_match_data> match{pcre2_match_data_create(1, nullptr), pcre2_match_data_free};
  Handle<pcre2_match_context> context{pcre2_match_context_create(nullptr), pcre2_match_context_free};
  Handle<pcre2_jit_stack> stack{nullptr, pcre2_jit_stack_free};
  uint64_t steps = 0;  ///< left for hard matches
};

Splitter::Scratch::Scratch(size_t bytes) : work_(std::make_shared<Work>()) {
  work_->steps = free_steps + steps_a_byte * bytes;
}

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

/// PCRE2's result of a match at `at` or, unless anchored, after it; no position may take more than `limit`
/// steps.
int Splitter::match(std::string_view text, size_t at, uint32_t options, uint32_t limit,
                    Scratch::Work& work) const {
  pcre2_set_match_limit(work.context.get(), limit);
  const auto run = [&] {
    return pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                       PCRE2_NO_UTF_CHECK | options, work.match.get(), work.context.get());
  };
  int found = run();
  if (found == PCRE2_ERROR_JIT_STACKLIMIT && !work.stack) {
    work.stack.reset(pcre2_jit_stack_create(32 << 10, stack_bytes, nullptr));
    pcre2_jit_stack_assign(work.context.get(), nullptr, work.stack.get());
    found = run();
  }
  check(found >= 0 || found == PCRE2_ERROR_NOMATCH || found == PCRE2_ERROR_MATCHLIMIT, ErrorKind::invalid,
        "the text cannot be split into words at byte {} (PCRE2 error {})", at, found);
  return found;
}

/// Whether there is a match from `at` on. If a position is hard, positions are tried one by one, each with
/// more and more steps, which count against the text's budget.
bool Splitter::search(std::string_view text, size_t at, Scratch::Work& work) const {
  int found = match(text, at, 0, easy_limit, work);
  if (found != PCRE2_ERROR_MATCHLIMIT) return found >= 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
    found = match(text, at, PCRE2_ANCHORED, easy_limit, work);
    for (uint32_t limit = easy_limit; found == PCRE2_ERROR_MATCHLIMIT;) {
      check(
          limit < hardest_limit && work.steps >= uint64_t{10} * limit, ErrorKind::invalid,
          "the pre-tokenizer's regular expression takes too long on the text at byte {} (nested repetitions, "
          "as in (a+)+, do that)",
          at);
      limit *= 10;
      work.steps -= limit;
      found = match(text, at, PCRE2_ANCHORED, limit, work);
    }
    if (found >= 0) return true;
  }
  return false;
}

void Splitter::each_range(std::string_view text, const Scratch& scratch, const Visit& visit) const {
  size_t done = 0;
  while (done < text.size() && search(text, done, *scratch.work_)) {
    // The visitor may search again with the same scratch.
    const size_t begin = pcre2_get_ovector_pointer(scratch.work_->match.get())[0];
    const size_t end = pcre2_get_ovector_pointer(scratch.work_->match.get())[1];
    if (end == begin) break;
    if (begin > done) visit({done, begin, invert_});
    visit({begin, end, !invert_});
    done = end;
  }
  if (done < text.size()) visit({done, text.size(), invert_});
}

std::string Splitter::replaced(std::string_view text, const Scratch& scratch,
                               std::string_view content) const {
  std::string result;
  each_range(text, scratch, [&](const Range& range) {
    result += range.match != invert_ ? content : text.substr(range.begin, range.end - range.begin);
  });
  return result;
}

void Splitter::split(std::string_view text, const Scratch& scratch, const Piece& piece) const {
  const auto give = [&](const Range& range) { piece(text.substr(range.begin, range.end - range.begin)); };
  if (behavior_ == SplitBehavior::isolated) return each_range(text, scratch, give);
  if (behavior_ == SplitBehavior::removed) {
    return each_range(text, scratch, [&](const Range& range) {
      if (!range.match) give(range);
    });
  }
  std::optional<Range> open;  // may still be joined with the next one
  bool previous = false;
  const auto joins = [&](bool match) {
    if (behavior_ == SplitBehavior::contiguous) return match == previous;
    return behavior_ == SplitBehavior::merged_with_previous ? match && !previous : previous && !match;
  };
  each_range(text, scratch, [&](const Range& range) {
    if (open && joins(range.match)) {
      open->end = range.end;
    } else {
      if (open) give(*open);
      open = range;
    }
    previous = range.match;
  });
  if (open) give(*open);
}

}  // namespace lowrank
