#pragma once

#include <cstdint>

namespace lowrank {

/// A loop of independent multiply-adds on registers: the most that one core reaches.
struct MultiplyAdds {
  float (*run)(int64_t steps) = nullptr;
  int64_t flops_per_step = 0;
};

/// With the widest registers of this processor; `bf16`: with its bf16 tiles or dot products, of f32 where it
/// has neither.
MultiplyAdds fastest_multiply_adds(bool bf16);

}  // namespace lowrank
