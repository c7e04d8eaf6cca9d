#include "tokenizer/token_spans.h"

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// Where `bytes` stand at or after `position`, white space skipped if need be. SentencePiece's tokenizers put
/// a space in front of a text, which the text lacks.
bool find_token(std::string_view text, std::string_view bytes, ByteSpan& span) {
  const std::string_view without_space = bytes.starts_with(' ') ? bytes.substr(1) : std::string_view();
  const size_t position = static_cast<size_t>(span.begin);
  const size_t next = text.find_first_not_of(" \t\r\n", position);
  for (const size_t begin : {position, next == std::string_view::npos ? position : next}) {
    for (const std::string_view form : {bytes, without_space}) {
      if (form.empty() || !text.substr(begin).starts_with(form)) continue;
      span = {static_cast<int64_t>(begin), static_cast<int64_t>(begin + form.size())};
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<ByteSpan> token_spans(const Tokenizer& tokenizer, std::string_view text,
                                  std::span<const int64_t> ids) {
  std::vector<ByteSpan> spans;
  spans.reserve(ids.size());
  int64_t position = 0;
  for (const int64_t id : ids) {
    const std::string_view bytes = tokenizer.bytes_of(id, false);
    ByteSpan span{position, position};
    const bool lone_space = bytes == " " && position == 0;
    check(
        bytes.empty() || find_token(text, bytes, span) || lone_space, ErrorKind::unsupported,
        "the tokenizer rewrites the text at byte {} ({} became {}), so answers cannot be told from the rest",
        position, in_quotes(text.substr(position), 20), in_quotes(bytes, 20));
    spans.push_back(span);
    position = span.end;
  }
  return spans;
}

}  // namespace lowrank
