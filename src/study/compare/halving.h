#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace lowrank {

/// What a candidate reached in a round: lower is better; nullopt if its run diverged.
using HalvingScore = std::function<std::optional<double>(size_t candidate, int64_t round, double share)>;

/// Told which candidates a round has, before their scores are asked for.
using HalvingRound = std::function<void(const std::vector<size_t>& candidates, int64_t round, double share)>;

/// How many candidates take part in each of the rounds, each at least 1: the share `keep` of the round
/// before, rounded up. Rounds with a single candidate are left out.
std::vector<int64_t> halving_sizes(int64_t candidates, int64_t rounds, double keep);

/// The share of a whole run that round `round` of `rounds` (from 0) gets: keep^(rounds - round).
double halving_share(int64_t round, int64_t rounds, double keep);

/// Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943): all candidates get a small share of the
/// budget, the better ones a larger one, and so on. Returns the best candidate of the last round; the first
/// one if there is only one. Of equal scores the earlier candidate is taken. nullopt if all runs of a round
/// diverged. `score` is called once per candidate and round.
std::optional<size_t> best_by_halving(int64_t candidates, int64_t rounds, double keep,
                                      const HalvingScore& score, const HalvingRound& before_round = {});

}  // namespace lowrank
