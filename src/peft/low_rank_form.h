#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/spec.h"

namespace lowrank {

/// One module's update alpha / r B A of its weight.
struct LowRankUpdate {
  const Module* module = nullptr;
  int64_t rank = 0;  ///< r
  double alpha = 0;
  at::Tensor a;  ///< A [r, in]; of an embedding [r, V]
  at::Tensor b;  ///< B [out, r]; of an embedding [d, r]
};

/// An adapter as far as low-rank updates of single weights tell it.
struct LowRankForm {
  std::vector<LowRankUpdate> updates;
  std::vector<std::string> beside;  ///< what else it trains, for people; empty: nothing
};

/// The key of a factor, "A" or "B", in PEFT's adapter file.
std::string factor_key(const Module& module, const char* factor);

/// The value that stands most often, the first of equals; `values` is not empty.
double most_common(std::span<const double> values);

}  // namespace lowrank
