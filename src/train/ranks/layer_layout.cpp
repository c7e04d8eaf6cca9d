#include "train/ranks/layer_layout.h"

#include <algorithm>

namespace lowrank {
namespace {

/// Of each tensor in its layer: one cache line.
constexpr int64_t alignment = 64;

}  // namespace

int64_t LayerLayout::kept(int64_t rank, int64_t ranks) const {
  int64_t sum = 0;
  for (int64_t layer = rank; layer < std::ssize(bytes); layer += ranks) sum += bytes[layer];
  return sum;
}

int64_t LayerLayout::largest_fetched(int64_t rank, int64_t ranks) const {
  int64_t largest = 0;
  for (int64_t layer = 0; layer < std::ssize(bytes); ++layer) {
    if (owner(layer, ranks) != rank) largest = std::max(largest, bytes[layer]);
  }
  return largest;
}

LayerLayout layer_layout(const Checkpoint& checkpoint,
                         const std::function<TensorUse(const TensorRef&)>& use) {
  const ModelSpec& spec = checkpoint.spec();
  LayerLayout layout{std::vector<int64_t>(spec.layers), {}};
  for (const Module& module : spec.modules) {
    const TensorRef* tensor = module.layer < 0 ? nullptr : spec.find_tensor(module.name + ".weight");
    if (!tensor || use(*tensor) != TensorUse::frozen) continue;
    const auto stored = checkpoint.bytes_of(*tensor);
    if (!stored) continue;
    int64_t& end = layout.bytes[module.layer];
    const auto size = static_cast<int64_t>(stored->size());
    layout.places[tensor] = {module.layer, end, size};
    end += (size + alignment - 1) / alignment * alignment;
  }
  return layout;
}

}  // namespace lowrank
