#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "data/batch.h"
#include "data/examples/example_store.h"

namespace lowrank {

/// The examples laid end to end; positions restart with each. A completion starts at the first target.
Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices);

/// The examples laid end to end for a causal language model when only the loss is needed: tokens after the
/// last one that predicts a target are left out, since no other token attends to them. With `share_prompts`,
/// a prefix that some of the examples share (a prompt, an instruction, a few words) is laid out once, as a
/// sequence of its own that theirs continue (`Batch::parents`): the batch is the examples' prefix tree, and
/// its targets are in no particular order. Loss and gradient equal those of `make_batch`, as long as a
/// token's result depends only on the tokens before it; examples of more than `most` tokens, for which it
/// does not, are laid out whole and alone.
Batch make_training_batch(std::span<const Example> examples, std::span<const int64_t> indices,
                          bool share_prompts, int64_t most = std::numeric_limits<int64_t>::max());

/// A group number for each example: examples with the same tokens before their first target have the same
/// number. Numbers count up from 0 in order of first appearance.
std::vector<int64_t> prompt_groups(const ExampleStore& examples);

}  // namespace lowrank
