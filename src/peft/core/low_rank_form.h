#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/spec.h"

namespace lowrank {

/// The update alpha / r B A of one module's weight.
struct LowRankUpdate {
  const Module* module = nullptr;
  int64_t rank = 0;  ///< r
  double alpha = 0;
  at::Tensor a;  ///< A [r, in]; for an embedding [r, V]
  at::Tensor b;  ///< B [out, r]; for an embedding [d, r]
};

/// The part of an adapter that low-rank updates of single weights express.
struct LowRankForm {
  std::vector<LowRankUpdate> updates;
  std::vector<std::string> beside;  ///< what else it trains, for messages; empty: nothing
};

/// The key of a factor, "A" or "B", in PEFT's adapter file.
std::string factor_key(const Module& module, const char* factor);

/// The most frequent value, the first one if tied; `values` is not empty.
double most_common(std::span<const double> values);

}  // namespace lowrank
