#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <ranges>
#include <utility>
#include <vector>

#include "data/examples/example_store.h"
#include "data/order/early_examples.h"
#include "data/order/epoch_order.h"
#include "data/order/left_out_rows.h"

namespace lowrank {

/// The examples that a run trains on, and how often its epochs take them. A store, and whatever makes one, is
/// taken once per epoch.
struct WeightedExamples {
  ExampleStore examples;
  std::vector<SourceShare> sources;  ///< in the store's order; their counts sum to its size
  LeftOutRows left_out = {};         ///< of the rows that the examples were made of
  /// Set while the rows are still being read; the other members are then empty.
  std::shared_ptr<EarlyExamples> early = nullptr;

  WeightedExamples() = default;
  WeightedExamples(ExampleStore store, std::vector<SourceShare> shares)
      : examples(std::move(store)), sources(std::move(shares)) {}
  WeightedExamples(ExampleStore store) : examples(std::move(store)) {}
  template <std::ranges::contiguous_range Range>
  requires std::same_as<std::ranges::range_value_t<Range>, Example> WeightedExamples(const Range& list)
      : examples(list) {}

  /// Rows that the examples were made of, also those left out.
  int64_t rows() const { return early ? early->rows() : std::ssize(examples) + left_out.count(); }
  /// Examples and their tokens in an epoch; while rows are being read, the examples are at most as many, and
  /// the tokens 0. The tokens are a mean if a weight takes a part of a source.
  int64_t epoch_size() const;
  double epoch_tokens() const;
};

}  // namespace lowrank
