#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <ATen/core/Tensor.h>

#include "train/ranks/layer_layout.h"
#include "train/ranks/rank_exchange.h"

namespace lowrank {

/// The frozen linear weights of a base's layers, shared out over the ranks of a run: each keeps its own
/// layers (LayerLayout) as the file's bytes, and at most two more: the one that is in use, and the next,
/// which is fetched meanwhile. Which is next follows from the last two: layers are used in their order, or
/// backwards.
class SharedBase : public std::enable_shared_from_this<SharedBase> {
 public:
  /// All ranks make theirs at the same time. Reads this rank's layers. Errors: as RankGroup's.
  static std::shared_ptr<SharedBase> make(std::shared_ptr<const Checkpoint> checkpoint, LayerLayout layout,
                                          const RankGroup& ranks);

  /// The tensor's rows, for as long as the source lives; none for a tensor that is not shared out. The source
  /// throws RankGroup's errors when a rank has ended.
  RowSource rows(const TensorRef& tensor);

 private:
  using Bytes = std::shared_ptr<const at::Tensor>;

  SharedBase(std::shared_ptr<const Checkpoint> checkpoint, LayerLayout layout, const RankGroup& ranks);
  /// The bytes of a layer, which stay as they are while the result is held.
  Bytes layer(int64_t number);
  /// Begins to fetch another rank's layer unless it is there already.
  void fetch(int64_t number);
  bool is_elsewhere(int64_t number) const;
  /// The layer that is probably used after this one.
  int64_t next(int64_t number) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  LayerLayout layout_;
  std::vector<Bytes> own_;  ///< by layer; null: another rank's
  std::mutex mutex_;
  std::shared_ptr<at::Tensor> slots_[2];  ///< for other ranks' layers
  Bytes used_;
  int64_t used_layer_ = -1;
  bool backwards_ = false;
  int64_t fetched_layer_ = -1, fetched_slot_ = 0;  ///< the next layer, there or on its way; -1: none
  int64_t rank_ = 0, ranks_ = 1, largest_ = 0;
  std::unique_ptr<RankExchange> exchange_;
};

}  // namespace lowrank
