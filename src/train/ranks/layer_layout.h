#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "model/checkpoint.h"
#include "model/model.h"

namespace lowrank {

/// How the frozen linear weights of a model's layers, as the bytes of its file, are shared out over ranks:
/// each layer is one piece, and belongs to one rank.
struct LayerLayout {
  /// Where a tensor's bytes are in its layer's.
  struct Place {
    int64_t layer = 0, offset = 0, size = 0;
  };

  std::vector<int64_t> bytes;                ///< of each layer
  std::map<const TensorRef*, Place> places;  ///< of the tensors that are shared out

  /// The rank that keeps a layer, of `ranks`.
  static int64_t owner(int64_t layer, int64_t ranks) { return layer % ranks; }
  /// Bytes that a rank keeps, and those of the largest layer that it does not.
  int64_t kept(int64_t rank, int64_t ranks) const;
  int64_t largest_fetched(int64_t rank, int64_t ranks) const;
};

/// `use`: as LoadOptions::use. Weights outside the layers are not shared out, nor those without
/// Checkpoint::bytes_of.
LayerLayout layer_layout(const Checkpoint& checkpoint, const std::function<TensorUse(const TensorRef&)>& use);

}  // namespace lowrank
