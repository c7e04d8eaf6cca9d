#include "base/nearest_name.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace lowrank {
namespace {

// Names also come from files: a longer one is not a typo, and its table would take quadratic time.
constexpr size_t longest_name = 256;

char folded(char letter) {
  if (letter == '-') return '_';
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

/// The distance between two names, or `limit + 1` as soon as it must exceed `limit`.
size_t distance(std::string_view a, std::string_view b, size_t limit) {
  const size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > limit) return limit + 1;
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (folded(a[i - 1]) == folded(b[j - 1]) ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped =
          i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    // A swap reaches back two rows, so both must be beyond the limit.
    if (std::ranges::min(row) > limit && std::ranges::min(last) > limit) return limit + 1;
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view wrong, std::span<const std::string> known) {
  if (wrong.empty() || wrong.size() > longest_name) return std::nullopt;
  std::optional<std::string> best;
  size_t best_distance = longest_name;
  for (const std::string& name : known) {
    const size_t near = std::max<size_t>(1, std::max(wrong.size(), name.size()) / 3);
    const size_t found = distance(wrong, name, std::min(near, best_distance));
    if (found > near || found >= best_distance) continue;
    best = name;
    best_distance = found;
  }
  return best;
}

}  // namespace lowrank
