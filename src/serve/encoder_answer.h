#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/labels.h"
#include "serve/http/exchange.h"
#include "serve/model_loop.h"

namespace lowrank::serve {

/// An encoder's work, done on the loop's thread: one row of values per text, all rows in one list.
struct EncoderWork {
  std::function<std::vector<float>(const std::vector<std::vector<int64_t>>&)> embed;     ///< [count, width]
  std::function<std::vector<float>(const std::vector<std::vector<int64_t>>&)> classify;  ///< empty: no labels
  std::function<std::vector<int64_t>(const std::string&)> encode;  ///< a text's ids, by any thread
  int64_t width = 0;
  LabelSet labels;
};

/// What a request wants of an encoder.
struct EncoderPlan {
  std::vector<std::vector<int64_t>> ids;  ///< one text each, at least one
  /// Rows of values of some of the texts, as EncoderWork has them.
  std::function<std::vector<float>(const std::vector<std::vector<int64_t>>&)> compute;
  /// The answer's body, from the values of all texts.
  std::function<std::string(const std::vector<float>&)> body;
};

/// The answer to texts for an encoder. They are computed in batches, between which the loop does other work,
/// and which end when the client goes away or the loop's time to finish is over.
class EncoderAnswer : public std::enable_shared_from_this<EncoderAnswer> {
 public:
  /// `loop` must outlive it.
  EncoderAnswer(EncoderPlan plan, std::shared_ptr<Exchange> exchange, ModelLoop& loop);

  /// Leaves the first batch for the loop, on the exchange's executor. Errors: Refusal (503) if it takes no
  /// more.
  void start();

 private:
  void work();
  void compute_batch();
  void reply(HttpResponse response);

  EncoderPlan plan_;
  std::shared_ptr<Exchange> exchange_;
  ModelLoop* loop_;
  std::atomic<bool> gone_ = false;
  size_t done_ = 0;            ///< texts
  std::vector<float> values_;  ///< of them
};

}  // namespace lowrank::serve
