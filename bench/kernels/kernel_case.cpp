#include "kernel_case.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

namespace lowrank {
namespace {

Run backward_of(const DifferentiableOp::Function& function, const std::vector<at::Tensor>& inputs) {
  const std::vector<at::Tensor> outputs = function(inputs);
  std::vector<at::Tensor> slopes, leaves;
  for (const at::Tensor& output : outputs)
    slopes.push_back(random_values(output.sizes(), output.scalar_type()));
  for (const at::Tensor& input : inputs) {
    if (input.requires_grad()) leaves.push_back(input);
  }
  return [=] { return torch::autograd::grad(outputs, leaves, slopes, true, false, true); };
}

}  // namespace

std::vector<KernelCase> both_directions(const std::string& name, at::ScalarType type, Work forward,
                                        Work backward, const std::function<DifferentiableOp()>& prepare) {
  const auto forward_pass = [prepare] {
    const DifferentiableOp op = prepare();
    return Contenders{[=] { return op.ours(op.inputs); }, [=] { return op.reference(op.inputs); },
                      op.comparable};
  };
  const auto backward_pass = [prepare] {
    const DifferentiableOp op = prepare();
    return Contenders{backward_of(op.ours, op.inputs), backward_of(op.reference, op.inputs), op.comparable};
  };
  return {{name + "/forward/" + type_name(type), forward, forward_pass},
          {name + "/backward/" + type_name(type), backward, backward_pass}};
}

at::Tensor random_values(at::IntArrayRef sizes, at::ScalarType type) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(uint64_t{7}), at::TensorOptions())
      .to(type);
}

at::Tensor random_leaf(at::IntArrayRef sizes, at::ScalarType type) {
  return random_values(sizes, type).set_requires_grad(true);
}

at::Tensor gradient(const at::Tensor& scalar, const at::Tensor& leaf) {
  return torch::autograd::grad({scalar}, {leaf}, {at::ones_like(scalar)}, false, false, false).front();
}

std::string type_name(at::ScalarType type) {
  return type == at::kBFloat16 ? "bf16" : "f32";
}

double width(at::ScalarType type) {
  return static_cast<double>(c10::elementSize(type));
}

Work products(at::ScalarType type, double flops) {
  return {type == at::kBFloat16 ? Resource::bf16_products : Resource::f32_products, flops};
}

}  // namespace lowrank
