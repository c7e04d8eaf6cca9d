// Rotary position embedding of queries and keys; values are copied.
#include <ATen/ops/cos.h>
#include <ATen/ops/sin.h>

#include "kernel_case.h"
#include "kernels/operations/rope.h"

namespace lowrank {

std::vector<KernelCase> rope_cases() {
  using Tensors = std::vector<at::Tensor>;
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    const auto prepare = [type] {
      const at::Tensor angles = random_values({smol::rows, smol::head_dim / 2}, at::kFloat);
      const RopeTable table{at::cos(angles), at::sin(angles), false, {}};
      return DifferentiableOp{
          {random_leaf({smol::rows, smol::qkv}, type)},
          [=](const Tensors& in) {
            return Tensors{rope(in[0], table, smol::heads, smol::kv_heads, smol::head_dim)};
          },
          [=](const Tensors& in) {
            return Tensors{rope_reference(in[0], table, smol::heads, smol::kv_heads, smol::head_dim)};
          }};
    };
    constexpr double table_bytes = smol::rows * smol::head_dim * 4;
    const Work work{Resource::memory, 2 * smol::rows * smol::qkv * width(type) + table_bytes};
    for (KernelCase& kernel : both_directions("rope", type, work, work, prepare))
      cases.push_back(std::move(kernel));
  }
  return cases;
}

}  // namespace lowrank
