#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/dataset.h"
#include "data/early/line_index.h"
#include "data/order/early_examples.h"
#include "data/order/weighted_examples.h"
#include "data/rows/rows.h"

namespace lowrank {

/// A data set that is used while it is loaded: a thread of its own, which leaves the processor to others,
/// runs load_dataset, and single rows are read from the files meanwhile. Examples are asked for by one
/// thread.
class EarlyDataset final : public EarlyExamples {
 public:
  /// Begins to load. Nothing, and nothing is begun, where load_dataset is to be called instead: the rows are
  /// not kept in a cache, or are in it already; a file is something else than plain JSON lines; the first
  /// rows have errors; rows are labelled or name adapters. Errors: interrupted.
  static std::shared_ptr<EarlyDataset> start(std::vector<std::string> patterns,
                                             std::shared_ptr<const Tokenizer> tokenizer, int64_t vocabulary,
                                             DatasetOptions options, int64_t first_examples);
  /// Stops loading, unless it has ended.
  ~EarlyDataset() override = default;

  /// The first `first_examples`, and what the first row says of a data set: format and chat template.
  const Dataset& beginning() const { return beginning_; }

  int64_t rows() const override { return rows_; }
  std::optional<Example> example(int64_t row) override;
  const WeightedExamples* whole() override;
  const WeightedExamples& wait() override;
  /// The whole data set after `whole` or `wait` has given one.
  const Dataset& dataset() const { return *dataset_; }

 private:
  EarlyDataset(std::vector<std::string> patterns, std::shared_ptr<const Tokenizer> tokenizer,
               int64_t vocabulary, DatasetOptions options);
  /// False if a file is no plain JSON lines, or empty.
  bool index_files();
  /// Reads what `beginning` gives; false if the first rows are no examples.
  bool begin(int64_t count);
  void load(const std::stop_token& stop);
  const WeightedExamples* ended_with() const;

  /// A file, and what its rows are read with.
  struct File {
    LineIndex lines;
    int64_t first_row = 0;  ///< of the data set's
    RowParser* parser = nullptr;
  };
  Row parsed(int64_t row) const;

  std::vector<std::string> patterns_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  int64_t vocabulary_;
  DatasetOptions options_;
  std::vector<std::unique_ptr<RowParser>> parsers_;  ///< of each pattern
  std::vector<File> files_;
  int64_t rows_ = 0;
  Dataset beginning_;

  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::optional<Dataset> dataset_;
  WeightedExamples whole_;
  std::exception_ptr error_;
  std::jthread loading_;  // last: it uses the others
};

}  // namespace lowrank
