#include "tokenizer/steps/added_tokens.h"

#include <algorithm>

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace lowrank {
namespace {

using Bytes = const uint8_t*;

/// The character that begins at `offset`; -1 at the end.
UChar32 character_at(std::string_view text, size_t offset, size_t* length) {
  if (offset >= text.size()) return -1;
  auto i = static_cast<int32_t>(offset);
  UChar32 character = 0;
  U8_NEXT(reinterpret_cast<Bytes>(text.data()), i, static_cast<int32_t>(text.size()), character);
  *length = static_cast<size_t>(i) - offset;
  return character;
}

/// The character that ends at `offset`; -1 at the beginning.
UChar32 character_before(std::string_view text, size_t offset, size_t* length) {
  if (offset == 0) return -1;
  auto i = static_cast<int32_t>(offset);
  UChar32 character = 0;
  U8_PREV(reinterpret_cast<Bytes>(text.data()), 0, i, character);
  *length = offset - static_cast<size_t>(i);
  return character;
}

/// Rust's \w: letters, marks, decimal digits, connectors and joiners.
bool is_word(UChar32 character) {
  constexpr uint32_t categories = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return character >= 0 && (u_hasBinaryProperty(character, UCHAR_ALPHABETIC) != 0 ||
                            (U_MASK(u_charType(character)) & categories) != 0 ||
                            u_hasBinaryProperty(character, UCHAR_JOIN_CONTROL) != 0);
}
bool is_space(UChar32 character) {
  return character >= 0 && u_isUWhiteSpace(character) != 0;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::ranges::stable_sort(tokens_, {}, &AddedToken::content);
  for (const AddedToken& token : tokens_) {
    if (!token.content.empty()) begins_[static_cast<uint8_t>(token.content.front())] = true;
  }
}

const AddedToken* AddedTokens::at(std::string_view source, size_t offset) const {
  const AddedToken* longest = nullptr;
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  // Narrow the range to the tokens that match one more byte, until none is left.
  for (size_t length = 0; begin != end && offset + length < source.size(); ++length) {
    const auto byte = [&](const AddedToken& token) {
      return length < token.content.size() ? static_cast<uint8_t>(token.content[length]) : -1;
    };
    const int wanted = static_cast<uint8_t>(source[offset + length]);
    begin = std::ranges::lower_bound(begin, end, wanted, {}, byte);
    end = std::ranges::upper_bound(begin, end, wanted, {}, byte);
    if (begin != end && begin->content.size() == length + 1) longest = &*begin;
  }
  return longest;
}

void AddedTokens::split(std::string_view source, const std::function<void(std::string_view)>& text,
                        const std::function<void(const AddedToken&)>& token) const {
  size_t done = 0;
  for (size_t i = 0; i < source.size();) {
    const AddedToken* found = begins_[static_cast<uint8_t>(source[i])] ? at(source, i) : nullptr;
    if (!found) {
      ++i;
      continue;
    }
    size_t begin = i;
    size_t end = i + found->content.size();
    // Search on right after the content: white space that this token absorbs may still be part of another
    // token.
    i = end;
    size_t length = 0;
    // The reference drops the whole match here, including any shorter token inside it.
    if (found->single_word &&
        (is_word(character_before(source, begin, &length)) || is_word(character_at(source, end, &length)))) {
      continue;
    }
    while (found->lstrip && begin > done && is_space(character_before(source, begin, &length)))
      begin -= length;
    // White space up to `done` was absorbed by the previous token.
    if (found->rstrip) end = std::max(end, done);
    while (found->rstrip && is_space(character_at(source, end, &length))) end += length;
    if (begin > done) text(source.substr(done, begin - done));
    token(*found);
    done = end;
  }
  if (done < source.size()) text(source.substr(done));
}

}  // namespace lowrank
