// Frozen products with LoRA beside them: q, k, v in one (576 -> 960, three patches of rank 8), and the MLP's
// down projection (1536 -> 576, one patch). FLOPs count the frozen product and all low-rank ones in the
// measured type, though the latter are f32 always.
#include <memory>

#include <ATen/TensorOperators.h>

#include "kernel_case.h"
#include "kernels/products/low_rank_linear.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t rank = 8;

struct Shape {
  const char* name;
  int64_t in;
  std::vector<int64_t> outs;  ///< rows of each patch
};

int64_t rows_of(const Shape& shape) {
  int64_t rows = 0;
  for (const int64_t out : shape.outs) rows += out;
  return rows;
}

/// `in`: x, then A and B of each patch.
std::vector<Patch> patches_of(const Shape& shape, const Tensors& in) {
  std::vector<Patch> patches;
  int64_t row = 0;
  for (size_t i = 0; i < shape.outs.size(); ++i) {
    Patch patch;
    patch.A = in[1 + 2 * i];
    patch.B = in[2 + 2 * i];
    patch.scale = 2;
    patch.begin = row;
    patch.end = row += shape.outs[i];
    patches.push_back(std::move(patch));
  }
  return patches;
}

Tensors inputs_of(const Shape& shape, at::ScalarType type) {
  Tensors in{random_leaf({smol::rows, shape.in}, type)};
  for (const int64_t out : shape.outs) {
    in.push_back((random_values({rank, shape.in}, at::kFloat) * 0.05).set_requires_grad(true));
    in.push_back((random_values({out, rank}, at::kFloat) * 0.05).set_requires_grad(true));
  }
  return in;
}

std::vector<KernelCase> cases_of(const Shape& shape, at::ScalarType type) {
  const auto prepare = [=] {
    const auto weight = std::make_shared<const PreparedWeight>(PreparedWeight::pack(
        random_values({rows_of(shape), shape.in}, at::kFloat) * 0.05, type, BaseMemory::one, true));
    return DifferentiableOp{
        inputs_of(shape, type),
        [=](const Tensors& in) {
          return Tensors{low_rank_linear(in[0], weight, std::nullopt, patches_of(shape, in))};
        },
        [=](const Tensors& in) {
          return Tensors{low_rank_linear_reference(in[0], weight, std::nullopt, patches_of(shape, in))};
        }};
  };
  const auto in = static_cast<double>(shape.in), out = static_cast<double>(rows_of(shape));
  const double frozen = 2 * smol::rows * in * out;
  const double inner = 2 * smol::rows * rank * in * static_cast<double>(shape.outs.size());
  const double outer = 2 * smol::rows * rank * out;
  return both_directions(std::string("low_rank_linear/") + shape.name, type,
                         products(type, frozen + inner + outer),
                         products(type, frozen + 2 * inner + 2 * outer), prepare);
}

}  // namespace

std::vector<KernelCase> low_rank_linear_cases() {
  constexpr int64_t kv_width = smol::kv_heads * smol::head_dim;
  std::vector<KernelCase> cases;
  for (const Shape& shape : {Shape{"qkv", smol::hidden, {smol::hidden, kv_width, kv_width}},
                             Shape{"down", smol::intermediate, {smol::hidden}}}) {
    for (const at::ScalarType type : measured_types) {
      for (KernelCase& kernel : cases_of(shape, type)) cases.push_back(std::move(kernel));
    }
  }
  return cases;
}

}  // namespace lowrank
