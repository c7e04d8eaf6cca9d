#include "text/training_batch.h"

#include <algorithm>
#include <map>

#include "base/rng.h"

namespace lowrank {
namespace {

/// Stream of an epoch's order for the order within groups.
constexpr uint64_t within_stream = 6;

/// Rows before the first target.
int64_t prompt_length(const Example& example) {
  const auto first = std::ranges::find_if(example.labels, [](int64_t label) { return label != no_target; });
  return first - example.labels.begin();
}

/// Rows of a causal model that a target needs: up to the last one that predicts one.
int64_t needed_length(const Example& example) {
  const auto last = std::find_if(example.labels.rbegin(), example.labels.rend(),
                                 [](int64_t label) { return label != no_target; });
  return std::max<int64_t>(0, example.labels.rend() - last - 1);
}

std::span<const int64_t> prompt_of(const Example& example) {
  return std::span(example.tokens).first(prompt_length(example));
}

/// A batch that grows by sequences.
struct GrowingBatch {
  Batch batch;

  /// Tokens [begin, end) of an example as a sequence that follows the sequence `prompt` (or none).
  void add_sequence(const Example& example, int64_t index, int64_t begin, int64_t end, int64_t prompt) {
    for (int64_t i = begin; i < end; ++i) {
      batch.tokens.push_back(example.tokens[i]);
      batch.positions.push_back(i);
    }
    batch.offsets.push_back(batch.rows());
    batch.examples.push_back(index);
    batch.prompt_rows.push_back(std::clamp<int64_t>(prompt_length(example) - begin, 0, end - begin));
    batch.first_labels.push_back(begin == 0 ? example.labels.front() : no_target);
    batch.prompt_of.push_back(prompt);
  }

  /// Targets of the tokens after the example's first; token i lies in row rows + i, the last one of a prompt
  /// that is shared in `prompt_row`.
  void add_targets(const Example& example, int64_t rows, int64_t prompt, int64_t prompt_row) {
    for (int64_t i = 1; i < std::ssize(example.labels); ++i) {
      if (example.labels[i] == no_target) continue;
      batch.targets.rows.push_back(i == prompt ? prompt_row : rows + i - 1);
      batch.targets.tokens.push_back(example.labels[i]);
      batch.targets.weights.push_back(1);
    }
  }

  void add_alone(const Example& example, int64_t index) {
    const int64_t first = batch.rows();
    add_sequence(example, index, 0, needed_length(example), no_prompt);
    add_targets(example, first, -1, -1);
  }

  void add_group(std::span<const Example> examples, std::span<const int64_t> indices) {
    const int64_t prompt = prompt_length(examples[indices.front()]);
    add_sequence(examples[indices.front()], indices.front(), 0, prompt, no_prompt);
    const int64_t sequence = batch.sequences() - 1;
    const int64_t last = batch.rows() - 1;
    for (const int64_t index : indices) {
      const Example& example = examples[index];
      const int64_t first = batch.rows();
      // A completion of one token is predicted by the prompt alone.
      if (needed_length(example) > prompt)
        add_sequence(example, index, prompt, needed_length(example), sequence);
      add_targets(example, first - prompt, prompt, last);
    }
  }
};

}  // namespace

Batch make_training_batch(std::span<const Example> examples, std::span<const int64_t> indices,
                          bool share_prompts) {
  GrowingBatch laid;
  laid.batch.offsets.push_back(0);
  std::vector<bool> done(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    if (done[i]) continue;
    const Example& example = examples[indices[i]];
    std::vector<int64_t> group;
    for (size_t j = i; share_prompts && prompt_length(example) > 0 && j < indices.size(); ++j) {
      if (done[j] || !std::ranges::equal(prompt_of(example), prompt_of(examples[indices[j]]))) continue;
      group.push_back(indices[j]);
      done[j] = true;
    }
    if (group.size() > 1) {
      laid.add_group(examples, group);
    } else {
      laid.add_alone(example, indices[i]);
    }
  }
  return std::move(laid.batch);
}

std::vector<int64_t> prompt_groups(std::span<const Example> examples) {
  const auto less = [](std::span<const int64_t> a, std::span<const int64_t> b) {
    return std::ranges::lexicographical_compare(a, b);
  };
  std::map<std::span<const int64_t>, int64_t, decltype(less)> numbers(less);
  std::vector<int64_t> groups;
  groups.reserve(examples.size());
  for (const Example& example : examples)
    groups.push_back(numbers.try_emplace(prompt_of(example), std::ssize(numbers)).first->second);
  return groups;
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

}  // namespace lowrank
