#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/steps/pattern.h"

#include <pcre2.h>

#include "base/error.h"

namespace lowrank {
namespace {

/// Limit on the steps of one match; a sane expression needs a few hundred on a module's name.
constexpr uint32_t match_limit = 200'000;

}  // namespace

struct Pattern::Code {
  explicit Code(pcre2_code* compiled) : code(compiled, pcre2_code_free) {}
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code;
};

Pattern::Pattern(const std::string& expression, const std::string& what) : what_(what) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                   PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &error, &offset, nullptr);
  if (!code) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    fail(ErrorKind::invalid, "{}: the regular expression '{}' is wrong at character {}: {}", what, expression,
         offset, reinterpret_cast<const char*>(message));
  }
  code_ = std::make_shared<const Code>(code);
}

bool Pattern::matches(std::string_view text) const {
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), match_limit);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  const int found = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                0, match.get(), context.get());
  check(found >= 0 || found == PCRE2_ERROR_NOMATCH, ErrorKind::invalid,
        "{}: the regular expression takes too long on '{}' (nested repetitions, as in (a+)+, do that)", what_,
        text);
  return found >= 0;
}

}  // namespace lowrank
