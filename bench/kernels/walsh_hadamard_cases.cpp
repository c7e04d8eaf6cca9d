// The Walsh-Hadamard transform of 2^20 values in place. Its reference by definition takes n^2 steps; here it
// is one pass of plain operations for each of the 20 stages.
#include <span>

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>

#include "kernel_case.h"
#include "kernels/operations/walsh_hadamard.h"

namespace lowrank {
namespace {

constexpr int64_t size = 1 << 20;

at::Tensor plain_transform(at::Tensor values) {
  for (int64_t half = 1; half < size; half *= 2) {
    const at::Tensor pairs = values.view({-1, 2, half});
    const at::Tensor a = pairs.select(1, 0), b = pairs.select(1, 1);
    values = at::stack({a + b, a - b}, 1);
  }
  return values.view({size});
}

}  // namespace

std::vector<KernelCase> walsh_hadamard_cases() {
  using Tensors = std::vector<at::Tensor>;
  const auto prepare = [] {
    const at::Tensor original = random_values({size}, at::kFloat), values = original.clone();
    // Transformed again and again the values overflow, which costs no time.
    const auto ours = [=] {
      at::Tensor in_place = values;
      walsh_hadamard(std::span(in_place.mutable_data_ptr<float>(), static_cast<size_t>(size)));
      return Tensors{in_place};
    };
    return Contenders{ours, [=] { return Tensors{plain_transform(original)}; }};
  };
  return {{"walsh_hadamard/transform/f32", {Resource::memory, 2.0 * 4 * size}, prepare}};
}

}  // namespace lowrank
