#include "infer/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/finite.h"
#include "infer/repetition.h"

namespace lowrank {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Numbers cannot be ordered if one of them is NaN.
void check_comparable(std::span<const float> logits) {
  const auto bad = std::ranges::find_if(logits, [](float logit) { return !(logit < infinity); });
  if (bad != logits.end())
    fail(ErrorKind::invalid, "the model's logit of token {} is {}", bad - logits.begin(), *bad);
}

/// The id of the highest logit, the lowest of several; there are no NaN.
int64_t likeliest(std::span<const float> logits) {
  // Maxima of blocks, lane by lane: a search for one best value does not vectorise.
  constexpr size_t lanes = 16, block = 16 * lanes;
  float best = -infinity;
  size_t begin = 0, i = 0;
  for (; i + block <= logits.size(); i += block) {
    std::array<float, lanes> most;
    most.fill(-infinity);
    for (size_t at = i; at < i + block; at += lanes) {
      for (size_t lane = 0; lane < lanes; ++lane)
        most[lane] = logits[at + lane] > most[lane] ? logits[at + lane] : most[lane];
    }
    const float highest = *std::ranges::max_element(most);
    if (highest > best) begin = i;
    best = std::max(best, highest);
  }
  const auto rest = std::ranges::max_element(logits.subspan(i));
  if (rest != logits.end() && *rest > best) return rest - logits.begin();
  return std::find(logits.begin() + static_cast<int64_t>(begin), logits.end(), best) - logits.begin();
}

struct Candidate {
  float logit;
  int64_t id;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// exp((logit - highest) / temperature) of sorted candidates: a small temperature turns the others into 0,
/// never into infinity.
std::vector<double> weights_of(const std::vector<Candidate>& candidates, double temperature) {
  std::vector<double> weights;
  weights.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    weights.push_back(std::exp((double{candidate.logit} - candidates.front().logit) / temperature));
  }
  return weights;
}

/// Drops candidates by top-p, then by min-p; the likeliest always stays.
void narrow(std::vector<Candidate>& candidates, const SamplingOptions& options) {
  if (options.top_p < 1) {
    const std::vector<double> weights = weights_of(candidates, options.temperature);
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    double before = 0;
    size_t kept = 0;
    while (kept < weights.size() && before < options.top_p * total) before += weights[kept++];
    candidates.resize(std::max<size_t>(1, kept));
  }
  if (options.min_p > 0) {
    const std::vector<double> weights = weights_of(candidates, options.temperature);
    const auto kept = std::ranges::find_if(weights, [&](double weight) { return weight < options.min_p; });
    candidates.resize(std::max<size_t>(1, kept - weights.begin()));
  }
}

}  // namespace

std::vector<Field> SamplingOptions::fields() {
  constexpr double most = std::numeric_limits<int32_t>::max();
  return {
      limited(field("temperature", temperature,
                    "0: always the most likely token; higher values: more varied text"),
              0, 100),
      limited(field("top_k", top_k, "keep the k most likely tokens; 0: all"), 0, most),
      limited(field("top_p", top_p, "keep the most likely tokens whose probabilities reach p"), 1e-9, 1),
      limited(field("min_p", min_p, "keep tokens with at least min_p times the highest probability"), 0, 1),
      limited(field("repetition_penalty", repetition_penalty,
                    "above 1: tokens that have occurred become less likely"),
              1e-3, 100),
      limited(field("no_repeat_ngram_size", no_repeat_ngram_size,
                    "n: no n tokens occur in the same order twice, the prompt included; 0: no such rule"),
              0, most),
      limited(field("seed", seed, "seed of the random choices"), 0, most),
  };
}

void adjust_repetition(std::span<float> scores, std::span<const int64_t> seen,
                       const SamplingOptions& options) {
  if (options.repetition_penalty != 1) penalise_seen(scores, seen, options.repetition_penalty);
  if (options.no_repeat_ngram_size > 0) exclude_repeated_ngrams(scores, seen, options.no_repeat_ngram_size);
}

int64_t sample(std::span<float> logits, std::span<const int64_t> seen, const SamplingOptions& options,
               Philox& random) {
  adjust_repetition(logits, seen, options);
  if (first_not_finite(logits)) check_comparable(logits);
  const int64_t best = likeliest(logits);
  check(best < std::ssize(logits) && logits[best] > -infinity, ErrorKind::invalid,
        "no token has a finite logit");
  if (options.temperature == 0 || options.top_k == 1) return best;
  std::vector<Candidate> candidates;
  for (size_t id = 0; id < logits.size(); ++id) candidates.push_back({logits[id], static_cast<int64_t>(id)});
  const auto kept = static_cast<size_t>(options.top_k);
  if (kept > 0 && kept < candidates.size()) {
    std::ranges::nth_element(candidates, candidates.begin() + options.top_k, likelier);
    candidates.resize(kept);
  }
  std::ranges::sort(candidates, likelier);
  narrow(candidates, options);
  const std::vector<double> weights = weights_of(candidates, options.temperature);
  double draw = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i < weights.size(); ++i) {
    draw -= weights[i];
    if (draw < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

}  // namespace lowrank
