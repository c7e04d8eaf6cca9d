#pragma once

// Glue to libtorch's autograd engine and observers, for kernels/*.cpp only.

#include <memory>
#include <type_traits>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

namespace lowrank {

using GradientList = torch::autograd::variable_list;
using torch::autograd::Node;

/// The engine's own pointer type: c10::intrusive_ptr, or std::shared_ptr in older libtorch.
inline constexpr bool nodes_are_shared =
    std::is_same_v<decltype(torch::autograd::Edge::function), std::shared_ptr<Node>>;
template <typename NodeType>
using NodePointer =
    std::conditional_t<nodes_are_shared, std::shared_ptr<NodeType>, c10::intrusive_ptr<NodeType>>;

/// A node whose backward edges lead to `inputs` (undefined ones included), in this order.
template <typename NodeType, typename... Inputs>
NodePointer<NodeType> make_node(const Inputs&... inputs) {
  NodePointer<NodeType> node;
  if constexpr (nodes_are_shared) {
    node = std::make_shared<NodeType>();
  } else {
    node = c10::make_intrusive<NodeType>();
  }
  node->set_next_edges(torch::autograd::collect_next_edges(inputs...));
  return node;
}

/// True when gradients are on and one of the tensors needs one.
template <typename... Inputs>
bool needs_gradient(const Inputs&... inputs) {
  return at::GradMode::is_enabled() && ((inputs.defined() && inputs.requires_grad()) || ...);
}

/// Makes `output` the result of `node`.
inline void connect(at::Tensor& output, const NodePointer<Node>& node) {
  torch::autograd::set_history(output, node);
}

/// Reports to libtorch's observers (kernels/core/op_profile.h) that an operation of ours runs from here to
/// the end of the block. `name` must outlive it. Backward nodes need none: the autograd engine reports them.
class OpScope {
 public:
  explicit OpScope(const char* name) : record_(at::RecordScope::FUNCTION) {
    if (record_.isActive()) record_.before(name);
  }
  /// A product, of these operands.
  OpScope(const char* name, const at::Tensor& left, const at::Tensor& right)
      : record_(at::RecordScope::FUNCTION) {
    if (!record_.isActive()) return;
    const c10::IValue inputs[] = {left, right};
    record_.before(name, inputs);
  }

 private:
  at::RecordFunction record_;
};

}  // namespace lowrank
