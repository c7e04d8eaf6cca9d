#include "study/compare/halving.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lowrank {

std::vector<int64_t> halving_sizes(int64_t candidates, int64_t rounds, double keep) {
  std::vector<int64_t> sizes;
  for (int64_t round = 0; round < rounds && candidates > 1; ++round) {
    sizes.push_back(candidates);
    const auto kept = static_cast<int64_t>(std::ceil(static_cast<double>(candidates) * keep - 1e-9));
    candidates = std::clamp<int64_t>(kept, 1, candidates - 1);
  }
  return sizes;
}

double halving_share(int64_t round, int64_t rounds, double keep) {
  return std::pow(keep, static_cast<double>(rounds - round));
}

std::optional<size_t> best_by_halving(int64_t candidates, int64_t rounds, double keep,
                                      const HalvingScore& score, const HalvingRound& before_round) {
  std::vector<size_t> left(static_cast<size_t>(candidates));
  std::iota(left.begin(), left.end(), size_t{0});
  const std::vector<int64_t> sizes = halving_sizes(candidates, rounds, keep);
  for (size_t round = 0; round < sizes.size(); ++round) {
    left.resize(std::min(left.size(), static_cast<size_t>(sizes[round])));
    std::vector<std::pair<double, size_t>> ranked;
    const auto share = halving_share(static_cast<int64_t>(round), std::ssize(sizes), keep);
    if (before_round) before_round(left, static_cast<int64_t>(round), share);
    for (const size_t candidate : left) {
      if (const auto found = score(candidate, static_cast<int64_t>(round), share))
        ranked.emplace_back(*found, candidate);
    }
    if (ranked.empty()) return std::nullopt;
    std::ranges::sort(ranked);
    left.clear();
    for (const auto& [found, candidate] : ranked) left.push_back(candidate);
  }
  return left.empty() ? std::nullopt : std::optional(left.front());
}

}  // namespace lowrank
