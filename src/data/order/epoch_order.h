#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowrank {

/// Order of `count` examples in an epoch: a function of (seed, epoch) alone, or 0, 1, 2, … without shuffling.
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled);

/// As `epoch_order`, with the examples of a group next to each other: the groups are shuffled, and so are the
/// examples within each. `groups`: the group number of each example.
std::vector<int64_t> grouped_epoch_order(std::span<const int64_t> groups, uint64_t seed, int64_t epoch,
                                         bool shuffled);

/// Examples that lie next to each other in a data set, and how often an epoch takes them.
struct SourceShare {
  int64_t count = 0;
  double weight = 1;  ///< 2: each twice; 0.5: a half of them, and the next epoch the other half

  /// How many examples an epoch takes.
  int64_t taken() const;
};

/// True if an epoch is something else than each example once.
bool is_weighted(std::span<const SourceShare> sources);

/// The examples that an epoch takes, source after source. The epochs of a source share one endless list: all
/// its examples again and again, each time in a new order drawn from the seed. An epoch takes the next
/// `taken()` entries, so that after any number of epochs no example came more than once more often than
/// another. Without shuffling, what an epoch takes of one pass through the list is sorted. A function of
/// (seed, epoch) alone.
std::vector<int64_t> epoch_draws(std::span<const SourceShare> sources, uint64_t seed, int64_t epoch,
                                 bool shuffled);

/// Cuts an order into batches of at most `most` tokens: a batch takes examples until the next one would
/// exceed that; an example that is longer is a batch of its own. `lengths`: the tokens of each example.
/// Returns where each batch ends in the order.
std::vector<int64_t> token_batches(std::span<const int64_t> order, std::span<const int32_t> lengths,
                                   int64_t most);

}  // namespace lowrank
