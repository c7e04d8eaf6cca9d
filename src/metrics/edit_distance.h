#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowrank::metrics {

/// A step from a predicted text to its reference.
enum class Edit : uint8_t { none, match, substitute, insert, erase };

/// Levenshtein distances of many predictions of the same length to one reference, in a band around the
/// diagonal as sacrebleu's TER. Rows that belong to words with which the first prediction began, too, are
/// computed once.
class EditDistance {
 public:
  /// The reference must outlive this object.
  EditDistance(std::span<const uint32_t> reference, size_t prediction_size);

  /// Makes `prediction` the one from which `distance` starts, and returns its distance.
  int64_t start_from(std::span<const uint32_t> prediction);
  /// The edits of the start, in order; where several are best, a match or substitution stands before an
  /// erased word, and that before an inserted one.
  std::vector<Edit> steps() const;
  /// The distance of a text of the same length.
  int64_t distance(std::span<const uint32_t> prediction);

 private:
  struct Cell {
    int64_t cost;
    Edit edit;
  };
  using Row = std::vector<Cell>;

  void fill(std::span<const uint32_t> prediction, size_t row, const Row& before, Row& cells) const;

  std::span<const uint32_t> reference_;
  double ratio_;  // words of the reference per predicted word
  int64_t band_;
  std::vector<uint32_t> start_;
  std::vector<Row> rows_;  // of the start
  Row above_, below_;      // of another text
};

}  // namespace lowrank::metrics
