#include "data/order/left_out_rows.h"

#include <bit>
#include <charconv>
#include <limits>
#include <system_error>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr int64_t word_bits = 64;

/// Takes a number and the space after it from the text's beginning.
int64_t take_number(std::string_view& text, const std::string& where) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  const bool more = text.starts_with(' ');
  check(error == std::errc() && value >= 0 && (more || text.empty()), ErrorKind::corrupt,
        "{}: the rows left out must be counts with a space between two", where);
  text.remove_prefix(more ? 1 : 0);
  return value;
}

}  // namespace

void LeftOutRows::add(int64_t row) {
  if (runs_.empty() || runs_.back().end < row)
    runs_.push_back({row, row + 1});
  else
    runs_.back().end = row + 1;
  ++count_;
}

std::string LeftOutRows::text() const {
  std::string text;
  int64_t last = 0;
  for (const Run& run : runs_) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " ", run.begin - last, run.end - run.begin);
    last = run.end;
  }
  return text;
}

LeftOutRows LeftOutRows::of_text(std::string_view text, const std::string& where) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 4;
  LeftOutRows rows;
  while (!text.empty()) {
    const int64_t gap = take_number(text, where), length = take_number(text, where);
    const bool good =
        length > 0 && length <= most && gap <= most && rows.end() <= most && (gap > 0 || rows.empty());
    check(good, ErrorKind::corrupt, "{}: the rows left out are {} after {}", where, length, gap);
    rows.runs_.push_back({rows.end() + gap, rows.end() + gap + length});
    rows.count_ += length;
  }
  return rows;
}

ExampleNumbers::ExampleNumbers(const LeftOutRows& left_out, int64_t rows)
    : left_out_(static_cast<size_t>(rows / word_bits + 1)), before_(left_out_.size()) {
  for (const LeftOutRows::Run& run : left_out.runs_) {
    for (int64_t row = run.begin; row < run.end; ++row)
      left_out_[row / word_bits] |= uint64_t{1} << (row % word_bits);
  }
  for (size_t word = 1; word < left_out_.size(); ++word)
    before_[word] = before_[word - 1] + std::popcount(left_out_[word - 1]);
}

std::optional<int64_t> ExampleNumbers::of(int64_t row) const {
  const uint64_t word = left_out_[row / word_bits], bit = uint64_t{1} << (row % word_bits);
  if ((word & bit) != 0) return std::nullopt;
  return row - before_[row / word_bits] - std::popcount(word & (bit - 1));
}

}  // namespace lowrank
