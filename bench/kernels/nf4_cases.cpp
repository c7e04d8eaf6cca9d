// Expansion of NF4 with double quantisation, of one matrix 576 -> 1536, as frozen products expand it: some
// rows a task. The reference is plain operations on whole tensors.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>

#include "kernel_case.h"
#include "kernels/core/parallel.h"
#include "kernels/products/nf4.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t values = smol::intermediate * smol::hidden, block = 64, outer_block = 256;
constexpr int64_t rows_per_task = 16;

/// The 16 codes, as the kernel has them.
at::Tensor code_table() {
  at::Tensor table = at::empty({16}, at::kFloat);
  const at::Tensor bytes = at::arange(1, 256, 34, at::TensorOptions(at::kByte));  // 0x01, 0x23, ...
  expand_nf4(bytes, at::ones({1}, at::kFloat), block, 0, table);
  return table;
}

at::Tensor plain_expansion(const Nf4& quantised, const at::Tensor& map, const at::Tensor& codes,
                           at::ScalarType type) {
  const at::Tensor high = quantised.packed.__rshift__(4), low = quantised.packed.bitwise_and(15);
  const at::Tensor indices = at::stack({high, low}, 1).flatten().to(at::kInt);
  const at::Tensor outer = quantised.scale_scales.repeat_interleave(outer_block);
  const at::Tensor scales = map.index_select(0, quantised.scale_indices.to(at::kInt)) *
                                outer.narrow(0, 0, quantised.scale_indices.numel()) +
                            quantised.offset;
  return (codes.index_select(0, indices).view({-1, block}) * scales.unsqueeze(1))
      .view({smol::intermediate, smol::hidden})
      .to(type);
}

Contenders contenders_in(at::ScalarType type) {
  const Nf4 quantised = quantise_nf4(random_values({smol::intermediate, smol::hidden}, at::kFloat));
  const at::Tensor map = dynamic_map(), codes = code_table();
  const auto ours = [=] {
    at::Tensor out = at::empty({smol::intermediate, smol::hidden}, type);
    parallel_for(0, smol::intermediate, rows_per_task, [&](int64_t begin, int64_t end) {
      at::Tensor rows = out.narrow(0, begin, end - begin);
      expand_nf4(quantised, map, begin * smol::hidden, rows);
    });
    return Tensors{out};
  };
  return {ours, [=] { return Tensors{plain_expansion(quantised, map, codes, type)}; }};
}

}  // namespace

std::vector<KernelCase> nf4_cases() {
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    const double bytes = static_cast<double>(values) * (0.5 + 1.0 / block + width(type));
    cases.push_back(
        {"nf4/expand/" + type_name(type), {Resource::memory, bytes}, [=] { return contenders_in(type); }});
  }
  return cases;
}

}  // namespace lowrank
