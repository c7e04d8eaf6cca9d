// The gated linear unit's product: silu(gate) * up, and ModernBERT's gelu(gate) * up.
#include "kernel_case.h"
#include "kernels/operations/glu.h"

namespace lowrank {

std::vector<KernelCase> glu_cases() {
  using Tensors = std::vector<at::Tensor>;
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    for (const Gate gate : {Gate::silu, Gate::gelu}) {
      const auto prepare = [type, gate] {
        return DifferentiableOp{{random_leaf({smol::rows, 2 * smol::intermediate}, type)},
                                [gate](const Tensors& in) { return Tensors{glu(in[0], gate)}; },
                                [gate](const Tensors& in) { return Tensors{glu_reference(in[0], gate)}; }};
      };
      const double bytes = smol::rows * smol::intermediate * width(type);
      for (KernelCase& kernel :
           both_directions(gate == Gate::silu ? "glu" : "glu/gelu", type, {Resource::memory, 3 * bytes},
                           {Resource::memory, 5 * bytes}, prepare))
        cases.push_back(std::move(kernel));
    }
  }
  return cases;
}

}  // namespace lowrank
