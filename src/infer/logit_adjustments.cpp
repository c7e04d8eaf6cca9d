#include "infer/logit_adjustments.h"

#include <map>

namespace lowrank {

void adjust(std::span<float> logits, std::span<const int64_t> generated,
            const LogitAdjustments& adjustments) {
  const auto add = [&](int64_t token, double amount) {
    if (token >= 0 && token < std::ssize(logits)) logits[token] += static_cast<float>(amount);
  };
  for (const auto& [token, bias] : adjustments.bias) add(token, bias);
  if (adjustments.presence_penalty == 0 && adjustments.frequency_penalty == 0) return;
  std::map<int64_t, int64_t> counts;
  for (const int64_t token : generated) ++counts[token];
  for (const auto& [token, count] : counts)
    add(token, -adjustments.presence_penalty - adjustments.frequency_penalty * static_cast<double>(count));
}

}  // namespace lowrank
