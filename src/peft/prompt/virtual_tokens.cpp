#include "peft/prompt/virtual_tokens.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "kernels/core/device.h"

namespace lowrank {
namespace {

/// Rebuilds a batch, one sequence at a time.
class Widening {
 public:
  Widening(const Batch& old, int64_t prefix, int64_t infix) : old_(old), prefix_(prefix), infix_(infix) {
    wide_.offsets.push_back(0);
    wide_.examples = old.examples;
    wide_.adapters = old.adapters;
    wide_.type_one_tokens = old.type_one_tokens;
    // Sequence labels keep their weights, one per sequence.
    wide_.targets.values = old.targets.values;
    wide_.targets.classes = old.targets.classes;
    if (!old.targets.values.empty()) wide_.targets.weights = old.targets.weights;
  }

  Batch result() {
    for (int64_t s = 0; s < old_.sequences(); ++s) add_sequence(s);
    return std::move(wide_);
  }

 private:
  void add_sequence(int64_t s) {
    const int64_t begin = old_.offsets[s], end = old_.offsets[s + 1];
    const bool starts = begin == end || old_.positions[begin] == 0;
    const int64_t length = end - begin;
    const int64_t prompt = old_.prompt_rows.empty() ? length : std::min(old_.prompt_rows[s], length);
    const int64_t first = starts ? 0 : old_.positions[begin] + prefix_ + infix_;
    const int64_t wide_begin = wide_.token_count();
    moved_.clear();
    if (starts) add_virtual(prefix_);
    for (int64_t i = 0; i <= length; ++i) {
      if (starts && i == prompt) add_virtual(infix_);
      moved_.push_back(wide_.token_count());
      if (i < length) wide_.tokens.push_back(old_.tokens[begin + i]);
    }
    for (int64_t row = wide_begin; row < wide_.token_count(); ++row)
      wide_.positions.push_back(first + row - wide_begin);
    add_targets(s, wide_begin);
    wide_.offsets.push_back(wide_.token_count());
    wide_.prompt_rows.push_back(starts ? prompt + prefix_ + infix_ : prompt);
    wide_.first_labels.push_back(no_target);
  }

  void add_virtual(int64_t count) { wide_.tokens.insert(wide_.tokens.end(), count, virtual_token); }

  /// moved_[i]: where row i of the sequence is now; one more entry for its end.
  void add_targets(int64_t s, int64_t wide_begin) {
    const int64_t begin = old_.offsets[s];
    if (!old_.first_labels.empty() && old_.first_labels[s] != no_target && moved_.front() > wide_begin)
      add_target(moved_.front() - 1, old_.first_labels[s], 1, old_.examples.empty() ? s : old_.examples[s]);
    const Targets& targets = old_.targets;
    for (; next_ < targets.rows.size() && targets.rows[next_] < old_.offsets[s + 1]; ++next_)
      add_target(moved_[targets.rows[next_] - begin + 1] - 1, targets.tokens[next_], targets.weights[next_],
                 targets.examples.empty() ? s : targets.examples[next_]);
  }

  void add_target(int64_t row, int64_t token, float weight, int64_t example) {
    wide_.targets.rows.push_back(row);
    wide_.targets.tokens.push_back(token);
    wide_.targets.weights.push_back(weight);
    wide_.targets.examples.push_back(example);
  }

  const Batch& old_;
  int64_t prefix_, infix_;
  Batch wide_;
  std::vector<int64_t> moved_;
  size_t next_ = 0;  ///< index into the old targets, which are in the order of their rows
};

/// For each of the batch's rows, the number k of the virtual token in its sequence; -1 for vocabulary tokens.
std::vector<int64_t> table_rows(const Batch& batch) {
  std::vector<int64_t> rows(batch.token_count(), -1);
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    int64_t next = 0;
    for (int64_t row = batch.offsets[s]; row < batch.offsets[s + 1]; ++row) {
      if (batch.tokens[row] == virtual_token) rows[row] = next++;
    }
  }
  return rows;
}

}  // namespace

void insert_virtual_tokens(Batch& batch, int64_t prefix, int64_t infix) {
  batch = Widening(batch, prefix, infix).result();
}

void shift_positions(Batch& batch, int64_t count) {
  for (int64_t& position : batch.positions) position += count;
}

at::Tensor with_virtual_rows(const at::Tensor& hidden, const Batch& batch, const at::Tensor& table) {
  std::vector<int64_t> places, numbers;
  const std::vector<int64_t> rows = table_rows(batch);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0) continue;
    places.push_back(static_cast<int64_t>(i));
    numbers.push_back(rows[i]);
  }
  if (places.empty()) return hidden;
  const at::Tensor values = table.index_select(0, indices_for(table, numbers));
  return at::index_copy(hidden, 0, indices_for(hidden, places), values.to(hidden.scalar_type()));
}

at::Tensor spread_virtual_rows(const Batch& batch, const at::Tensor& table, const at::Tensor& elsewhere) {
  const at::Tensor last = elsewhere.defined() ? elsewhere : at::zeros({table.size(1)}, table.options());
  std::vector<int64_t> rows = table_rows(batch);
  for (int64_t& row : rows) row = row < 0 ? table.size(0) : row;
  return at::cat({table, last.unsqueeze(0)}).index_select(0, indices_for(table, rows));
}

}  // namespace lowrank
