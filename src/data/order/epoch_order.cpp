#include "data/order/epoch_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace lowrank {
namespace {

/// Streams of the run's seed: the order of epochs, of examples within groups, and what epochs take of a
/// source.
constexpr uint64_t order_stream = 1, within_stream = 6, draws_stream = 7;

/// Appends the entries [begin, end) of a source's endless list.
void add_draws(std::vector<int64_t>& drawn, const SourceShare& source, int64_t first, uint64_t seed,
               int64_t begin, int64_t end, bool shuffled) {
  while (begin < end) {
    const int64_t pass = begin / source.count, offset = begin % source.count;
    const int64_t taken = std::min(end - begin, source.count - offset);
    const auto before = std::ssize(drawn);
    // The order of a whole pass does not matter: the epoch's is drawn anew.
    const std::vector<int64_t> order = epoch_order(source.count, seed, pass, taken < source.count);
    for (int64_t i = offset; i < offset + taken; ++i) drawn.push_back(first + order[i]);
    if (!shuffled) std::sort(drawn.begin() + before, drawn.end());
    begin += taken;
  }
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (!shuffled) return order;
  Philox random(derive_seed(seed, order_stream), static_cast<uint64_t>(epoch));
  shuffle(order, random);
  return order;
}

std::vector<int64_t> grouped_epoch_order(std::span<const int64_t> groups, uint64_t seed, int64_t epoch,
                                         bool shuffled) {
  const int64_t count = std::ssize(groups);
  const int64_t group_count = count == 0 ? 0 : *std::ranges::max_element(groups) + 1;
  std::vector<std::vector<int64_t>> members(group_count);
  for (const int64_t row : epoch_order(count, derive_seed(seed, within_stream), epoch, shuffled))
    members[groups[row]].push_back(row);
  std::vector<int64_t> order;
  order.reserve(count);
  for (const int64_t group : epoch_order(group_count, seed, epoch, shuffled))
    order.insert(order.end(), members[group].begin(), members[group].end());
  return order;
}

int64_t SourceShare::taken() const {
  return weight == 1 ? count : std::llround(weight * static_cast<double>(count));
}

bool is_weighted(std::span<const SourceShare> sources) {
  return std::ranges::any_of(sources, [](const SourceShare& source) { return source.weight != 1; });
}

std::vector<int64_t> epoch_draws(std::span<const SourceShare> sources, uint64_t seed, int64_t epoch,
                                 bool shuffled) {
  std::vector<int64_t> drawn;
  int64_t first = 0;
  for (size_t s = 0; s < sources.size(); ++s) {
    const SourceShare& source = sources[s];
    const int64_t taken = source.taken();
    add_draws(drawn, source, first, derive_seed(seed, draws_stream, s), epoch * taken, (epoch + 1) * taken,
              shuffled);
    first += source.count;
  }
  return drawn;
}

std::vector<int64_t> token_batches(std::span<const int64_t> order, std::span<const int32_t> lengths,
                                   int64_t most) {
  std::vector<int64_t> ends;
  int64_t tokens = 0;
  for (int64_t i = 0; i < std::ssize(order); ++i) {
    const int64_t length = lengths[order[i]];
    if (i > 0 && tokens + length > most) {
      ends.push_back(i);
      tokens = 0;
    }
    tokens += length;
  }
  if (!order.empty()) ends.push_back(std::ssize(order));
  return ends;
}

}  // namespace lowrank
