#include "data/training_batch.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

namespace lowrank {
namespace {

/// Tokens before the first target.
int64_t prompt_length(const Example& example) {
  const auto first = std::ranges::find_if(example.labels, [](int64_t label) { return label != no_target; });
  return first - example.labels.begin();
}

/// Tokens that the targets of a causal model need: up to the last one that predicts a target.
int64_t needed_length(const Example& example) {
  const auto last = std::find_if(example.labels.rbegin(), example.labels.rend(),
                                 [](int64_t label) { return label != no_target; });
  return std::max<int64_t>(0, example.labels.rend() - last - 1);
}

/// A prompt of a data set, for sorting.
struct HashedPrompt {
  size_t hash = 0;
  int64_t example = 0;
};

size_t hash_of(std::span<const int32_t> tokens) {
  const auto bytes = std::as_bytes(tokens);
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Lays examples out as a prefix tree: a sequence for each run of tokens that some of them share.
class PrefixTree {
 public:
  explicit PrefixTree(std::span<const Example> examples) : examples_(examples) { batch.offsets.push_back(0); }

  /// Adds the tokens from `begin` on of examples whose earlier tokens are in the sequence `parent` and those
  /// that it continues.
  void add(std::span<const int64_t> members, int64_t begin, int64_t parent) {
    const int64_t end = common_length(members, begin);
    if (end > begin) {
      add_sequence(members, begin, end, parent);
      parent = batch.sequences() - 1;
    }
    for (const std::vector<int64_t>& branch : branches(members, end)) add(branch, end, parent);
  }

  void add_alone(int64_t member, int64_t length) {
    add_sequence(std::span(&member, 1), 0, length, no_parent);
  }

  Batch batch;

 private:
  int64_t common_length(std::span<const int64_t> members, int64_t length) const {
    const std::vector<int64_t>& first = examples_[members.front()].tokens;
    for (;; ++length) {
      for (const int64_t member : members) {
        const Example& example = examples_[member];
        if (length >= needed_length(example) || example.tokens[length] != first[length]) return length;
      }
    }
  }

  /// The members that have a needed token at `begin`, grouped by that token; groups are ordered by their
  /// first member.
  std::vector<std::vector<int64_t>> branches(std::span<const int64_t> members, int64_t begin) const {
    std::vector<std::vector<int64_t>> found;
    for (const int64_t member : members) {
      const Example& example = examples_[member];
      if (needed_length(example) <= begin) continue;
      const auto same = std::ranges::find_if(found, [&](const std::vector<int64_t>& branch) {
        return examples_[branch.front()].tokens[begin] == example.tokens[begin];
      });
      if (same == found.end()) {
        found.push_back({member});
      } else {
        same->push_back(member);
      }
    }
    return found;
  }

  /// Adds tokens [begin, end), which the members share, as a sequence, with the targets that its rows
  /// predict.
  void add_sequence(std::span<const int64_t> members, int64_t begin, int64_t end, int64_t parent) {
    const int64_t first_row = batch.token_count();
    const Example& first = examples_[members.front()];
    for (int64_t i = begin; i < end; ++i) {
      batch.tokens.push_back(first.tokens[i]);
      batch.positions.push_back(i);
    }
    batch.offsets.push_back(batch.token_count());
    batch.examples.push_back(members.front());
    batch.prompt_rows.push_back(std::clamp<int64_t>(prompt_length(first) - begin, 0, end - begin));
    batch.first_labels.push_back(begin == 0 ? first.labels.front() : no_target);
    batch.parents.push_back(parent);
    for (const int64_t member : members) {
      const Example& example = examples_[member];
      for (int64_t i = begin; i < std::min(end, std::ssize(example.labels) - 1); ++i) {
        if (example.labels[i + 1] == no_target) continue;
        batch.targets.rows.push_back(first_row + i - begin);
        batch.targets.tokens.push_back(example.labels[i + 1]);
        batch.targets.weights.push_back(1);
        batch.targets.examples.push_back(member);
      }
    }
  }

  std::span<const Example> examples_;
};

}  // namespace

Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const int64_t index : indices) {
    const Example& example = examples[index];
    const int64_t first = batch.token_count();
    for (size_t i = 0; i < example.tokens.size(); ++i) {
      batch.tokens.push_back(example.tokens[i]);
      batch.positions.push_back(static_cast<int64_t>(i));
      if (example.label || i + 1 == example.tokens.size() || example.labels[i + 1] == no_target) continue;
      batch.targets.rows.push_back(first + static_cast<int64_t>(i));
      batch.targets.tokens.push_back(example.labels[i + 1]);
      batch.targets.weights.push_back(1);
      batch.targets.examples.push_back(index);
    }
    if (example.label) {
      batch.targets.values.push_back(static_cast<float>(*example.label));
      batch.targets.classes.push_back(example.classes);
      batch.targets.weights.push_back(1);
    }
    batch.type_one_tokens.push_back(example.type_one_tokens);
    batch.offsets.push_back(batch.token_count());
    batch.examples.push_back(index);
    const auto completion =
        std::ranges::find_if(example.labels, [](int64_t label) { return label != no_target; });
    const bool labelled = example.label || example.labels.empty();
    batch.prompt_rows.push_back(labelled ? std::ssize(example.tokens) : completion - example.labels.begin());
    batch.first_labels.push_back(labelled ? no_target : example.labels.front());
  }
  return batch;
}

Batch make_training_batch(std::span<const Example> examples, std::span<const int64_t> indices,
                          bool share_prompts, int64_t most) {
  PrefixTree tree(examples);
  std::vector<int64_t> sharing;
  for (const int64_t index : indices) {
    const bool whole = std::ssize(examples[index].tokens) > most;
    if (share_prompts && !whole) {
      sharing.push_back(index);
    } else {
      tree.add_alone(index, whole ? std::ssize(examples[index].tokens) : needed_length(examples[index]));
    }
  }
  if (!sharing.empty()) tree.add(sharing, 0, no_parent);
  return std::move(tree.batch);
}

std::vector<int64_t> prompt_groups(const ExampleStore& examples) {
  const auto prompt_of = [&](int64_t index) {
    return examples.tokens(index).first(examples.prompt_length(index));
  };
  std::vector<HashedPrompt> prompts(examples.size());
  for (int64_t i = 0; i < std::ssize(prompts); ++i) prompts[i] = {hash_of(prompt_of(i)), i};
  std::ranges::sort(prompts, {}, [](const HashedPrompt& one) { return std::pair(one.hash, one.example); });
  // The first example with the prompt of each; where different prompts have the same hash, all of them are
  // compared.
  std::vector<int64_t> groups(prompts.size());
  std::vector<int64_t> firsts;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const int64_t example = prompts[i].example;
    if (i == 0 || prompts[i].hash != prompts[i - 1].hash) firsts.clear();
    const auto same = std::ranges::find_if(
        firsts, [&](int64_t first) { return std::ranges::equal(prompt_of(first), prompt_of(example)); });
    groups[example] = same == firsts.end() ? firsts.emplace_back(example) : *same;
  }
  int64_t count = 0;
  for (int64_t i = 0; i < std::ssize(groups); ++i) groups[i] = groups[i] == i ? count++ : groups[groups[i]];
  return groups;
}

}  // namespace lowrank
