#pragma once

#include <span>
#include <vector>

#include "model/model.h"
#include "text/dataset.h"

namespace lowrank {

struct Evaluation {
  double loss = 0;  ///< mean negative log-likelihood over all target tokens
  int64_t target_tokens = 0;
  std::vector<double> rows;  ///< the same of each row

  double perplexity() const;
};

/// Losses of the examples in their order, without gradients. A batch has at most `batch_size` rows. Errors:
/// invalid when a loss is not finite; interrupted.
Evaluation evaluate(const Model& model, const Hooks& hooks, std::span<const Example> examples,
                    int64_t batch_size);

}  // namespace lowrank
