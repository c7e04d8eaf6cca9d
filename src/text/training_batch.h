#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "text/dataset.h"

namespace lowrank {

/// The examples laid end to end for a causal language model whose loss alone is wanted: rows after the last
/// one that predicts a target are left out, since no other row sees them. With `share_prompts`, tokens that
/// some of the examples begin with alike (a prompt, an instruction, a few words) are laid down once, as a
/// sequence of its own that theirs continue (`Batch::parents`): the batch is the examples' prefix tree, and
/// targets then stand in no order. Equal in loss and gradient to `make_batch`, as long as a row's result
/// depends on the rows before it alone; examples of more than `most` tokens, where it does not, are laid
/// down whole and alone.
Batch make_training_batch(std::span<const Example> examples, std::span<const int64_t> indices,
                          bool share_prompts, int64_t most = std::numeric_limits<int64_t>::max());

/// A number for each example; those with the same tokens before their first target have the same. Numbers
/// count up from 0 by first appearance.
std::vector<int64_t> prompt_groups(std::span<const Example> examples);

/// As `epoch_order`, with the examples of a group next to each other: the groups' order is shuffled, and that
/// within each.
std::vector<int64_t> grouped_epoch_order(std::span<const int64_t> groups, uint64_t seed, int64_t epoch,
                                         bool shuffled);

}  // namespace lowrank
