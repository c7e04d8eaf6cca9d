// Dropout whose mask is a function of the seed, against libtorch's, which draws other numbers. The backward
// pass is the same function of the gradient.
#include <ATen/ops/dropout.h>

#include "kernel_case.h"
#include "kernels/operations/dropout.h"

namespace lowrank {

std::vector<KernelCase> dropout_cases() {
  using Tensors = std::vector<at::Tensor>;
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    const auto prepare = [type] {
      const at::Tensor x = random_values({smol::rows, smol::hidden}, type);
      return Contenders{[=] {
                          return Tensors{apply_dropout(x, {0.1, 7})};
                        },
                        [=] { return Tensors{at::dropout(x, 0.1, true)}; }, false};
    };
    cases.push_back({"dropout/both/" + type_name(type),
                     {Resource::memory, 2.0 * smol::rows * smol::hidden * width(type)},
                     prepare});
  }
  return cases;
}

}  // namespace lowrank
