// The frozen products y = x W^T and dx = dy W of the MLP's gate (576 -> 1536) in each of the three forms that
// a weight may have in memory, against libtorch's own product of the same matrix. `small` expands NF4.
#include <memory>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "kernel_case.h"
#include "kernels/products/nf4.h"
#include "kernels/products/prepared_weight.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

struct Form {
  const char* name;
  BaseMemory memory;
};

struct Weights {
  std::shared_ptr<const PreparedWeight> ours;
  at::Tensor plain;  ///< the same values, [out, in]
};

Weights weights_in(at::ScalarType type, BaseMemory memory) {
  const at::Tensor values = random_values({smol::intermediate, smol::hidden}, at::kFloat) * 0.05;
  if (memory != BaseMemory::small) {
    return {std::make_shared<const PreparedWeight>(PreparedWeight::pack(values, type, memory, true)),
            values.to(type)};
  }
  const Nf4 quantised = quantise_nf4(values);
  const RowSource source = [quantised, code = dynamic_map()](int64_t begin, int64_t /*end*/,
                                                             at::Tensor& out) {
    expand_nf4(quantised, code, begin * smol::hidden, out);
  };
  at::Tensor plain = at::empty({smol::intermediate, smol::hidden}, type);
  source(0, smol::intermediate, plain);
  return {std::make_shared<const PreparedWeight>(
              PreparedWeight::expanded(source, smol::intermediate, smol::hidden, type)),
          plain};
}

Contenders forward_in(at::ScalarType type, BaseMemory memory) {
  const Weights weights = weights_in(type, memory);
  const at::Tensor x = random_values({smol::rows, smol::hidden}, type);
  return {[=] { return Tensors{weights.ours->forward(x)}; },
          [=] { return Tensors{at::mm(x, weights.plain.t())}; }};
}

Contenders input_gradient_in(at::ScalarType type, BaseMemory memory) {
  const Weights weights = weights_in(type, memory);
  const at::Tensor dy = random_values({smol::rows, smol::intermediate}, type);
  return {[=] { return Tensors{weights.ours->input_gradient(dy)}; },
          [=] { return Tensors{at::mm(dy, weights.plain)}; }};
}

}  // namespace

std::vector<KernelCase> frozen_product_cases() {
  constexpr double flops = 2.0 * smol::rows * smol::hidden * smol::intermediate;
  std::vector<KernelCase> cases;
  for (const Form form :
       {Form{"fast", BaseMemory::fast}, {"one", BaseMemory::one}, {"small", BaseMemory::small}}) {
    for (const at::ScalarType type : measured_types) {
      const std::string name = std::string("frozen_product/") + form.name;
      cases.push_back({name + "/forward/" + type_name(type), products(type, flops),
                       [=] { return forward_in(type, form.memory); }});
      cases.push_back({name + "/backward/" + type_name(type), products(type, flops),
                       [=] { return input_gradient_in(type, form.memory); }});
    }
  }
  return cases;
}

}  // namespace lowrank
