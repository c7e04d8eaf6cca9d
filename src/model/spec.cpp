#include "model/spec.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"

namespace lowrank {

const TensorRef* ModelSpec::find_tensor(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &TensorRef::name);
  return found == tensors.end() ? nullptr : &*found;
}

const Module* ModelSpec::find_module(std::string_view name) const {
  const auto found = std::ranges::find(modules, name, &Module::name);
  return found == modules.end() ? nullptr : &*found;
}

std::string ModelSpec::layer_prefix(int layer) const {
  const auto found = std::ranges::find(modules, layer, &Module::layer);
  const std::string number = fmt::format(".{}.", layer);
  const size_t at = found == modules.end() ? std::string::npos : found->name.find(number);
  check(at != std::string::npos, ErrorKind::invalid, "the model has no layer {}", layer);
  return found->name.substr(0, at + number.size());
}

std::string ModelSpec::model_class() const {
  const auto names = config.find("architectures");
  if (names == config.end() || !names->is_array() || names->empty() || !names->front().is_string()) return {};
  return names->front().get<std::string>();
}

int64_t ModelSpec::parameters() const {
  int64_t total = 0;
  for (const TensorRef& tensor : tensors) {
    if (tied_head && tensor.role == Role::head) continue;
    total += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
  }
  return total;
}

int64_t ModelSpec::macs_per_token() const {
  int64_t count = 0;
  for (const Module& module : modules) {
    const bool always = module.is_linear() && (!module.expert || module.role == Role::router);
    count += always ? module.in * module.out : 0;
  }
  const int64_t sparse = std::ranges::count(experts.layers, true);
  count += sparse * hidden_size * 3 * experts.used * experts.ff;
  return count;
}

}  // namespace lowrank
