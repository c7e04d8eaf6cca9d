#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/cpu/low_rank_cpu.h"
#include "kernels/products/patch.h"

namespace lowrank {

/// The factors of all patches of one product, laid out as the fused kernels read them.
struct StackedFactors {
  at::Tensor a;                    ///< [R, in]: all A below each other
  at::Tensor b;                    ///< s B^T of each patch, one after the other
  std::vector<LowRankPart> parts;  ///< one per patch, pointing into b
  int64_t rank = 0;                ///< R, the sum of ranks

  /// `allocate` returns f32 memory for so many values.
  StackedFactors(const std::vector<Patch>& patches, const std::function<at::Tensor(int64_t)>& allocate);

  /// Floating-point operations of a forward pass over `rows` rows.
  double forward_flops(int64_t rows) const;
  /// Those of a backward pass, counting only the gradients that are wanted.
  double backward_flops(int64_t rows, bool wants_input) const;
};

/// Stacked factors of a training step: every pass of the step over the same parameters shares one copy.
/// Whoever changes the parameters calls `clear`.
class FactorStacks {
 public:
  /// One buffer holds `capacity` f32 values for all steps, so that the heap stays whole; factors beyond that
  /// get memory of their own.
  explicit FactorStacks(int64_t capacity);

  /// The stacked factors of these patches, computed by the first call for the same factors. Factors that are
  /// not leaves (computed within a pass) are stacked anew, since no later pass has the same ones.
  std::shared_ptr<const StackedFactors> of(const std::vector<Patch>& patches);

  /// Forgets all stacks. No backward pass over any of them may follow.
  void clear();

 private:
  struct Entry {
    std::vector<Patch> patches;  ///< keeps the factors alive, so that no other tensor takes their address
    std::shared_ptr<const StackedFactors> factors;
  };

  at::Tensor take(int64_t count);

  std::map<const void*, Entry> by_first_;  ///< by the address of the first patch's A
  at::Tensor buffer_;                      ///< [capacity]
  int64_t used_ = 0;                       ///< values of the buffer
};

/// `stacks->of(patches)`, or without `stacks` factors for one pass.
std::shared_ptr<const StackedFactors> stacked_factors(const std::vector<Patch>& patches,
                                                      FactorStacks* stacks);

}  // namespace lowrank
