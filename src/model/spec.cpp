#include "model/spec.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace lowrank {

const TensorRef* ModelSpec::find_tensor(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &TensorRef::name);
  return found == tensors.end() ? nullptr : &*found;
}

const Module* ModelSpec::find_module(std::string_view name) const {
  const auto found = std::ranges::find(modules, name, &Module::name);
  return found == modules.end() ? nullptr : &*found;
}

int64_t ModelSpec::parameters() const {
  int64_t total = 0;
  for (const TensorRef& tensor : tensors) {
    if (tied_head && tensor.role == Role::head) continue;
    total += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
  }
  return total;
}

int64_t ModelSpec::multiply_adds() const {
  int64_t count = 0;
  for (const Module& module : modules) count += module.is_linear() ? module.in * module.out : 0;
  return count;
}

}  // namespace lowrank
