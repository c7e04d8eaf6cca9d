// The gated linear unit's product, silu(gate) * up.
#include "kernel_case.h"
#include "kernels/operations/glu.h"

namespace lowrank {

std::vector<KernelCase> glu_cases() {
  using Tensors = std::vector<at::Tensor>;
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    const auto prepare = [type] {
      return DifferentiableOp{{random_leaf({smol::rows, 2 * smol::intermediate}, type)},
                              [](const Tensors& in) { return Tensors{glu(in[0], Gate::silu)}; },
                              [](const Tensors& in) { return Tensors{glu_reference(in[0], Gate::silu)}; }};
    };
    const double bytes = smol::rows * smol::intermediate * width(type);
    for (KernelCase& kernel :
         both_directions("glu", type, {Resource::memory, 3 * bytes}, {Resource::memory, 5 * bytes}, prepare))
      cases.push_back(std::move(kernel));
  }
  return cases;
}

}  // namespace lowrank
