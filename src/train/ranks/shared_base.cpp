#include "train/ranks/shared_base.h"

#include <cstring>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace lowrank {
namespace {

/// The frozen weights of one layer, side by side.
std::shared_ptr<const at::Tensor> read_layer(const Checkpoint& checkpoint, const LayerLayout& layout,
                                             int64_t layer) {
  auto bytes = std::make_shared<at::Tensor>(at::empty({layout.bytes[layer]}, at::kByte));
  auto* out = bytes->mutable_data_ptr<uint8_t>();
  for (const auto& [tensor, place] : layout.places) {
    if (place.layer == layer)
      std::memcpy(out + place.offset, checkpoint.bytes_of(*tensor)->data(), static_cast<size_t>(place.size));
  }
  return bytes;
}

}  // namespace

SharedBase::SharedBase(std::shared_ptr<const Checkpoint> checkpoint, LayerLayout layout,
                       const RankGroup& ranks)
    : checkpoint_(std::move(checkpoint)),
      layout_(std::move(layout)),
      own_(layout_.bytes.size()),
      rank_(ranks.rank()),
      ranks_(ranks.size()),
      largest_(layout_.largest_fetched(rank_, ranks_)) {
  for (int64_t layer = rank_; layer < std::ssize(own_); layer += ranks_)
    own_[layer] = read_layer(*checkpoint_, layout_, layer);
  checkpoint_->forget_pages();
  // Touched, so that they count in what the process takes before its first step.
  for (std::shared_ptr<at::Tensor>& slot : slots_)
    slot = std::make_shared<at::Tensor>(at::zeros({largest_}, at::kByte));
  exchange_ = std::make_unique<RankExchange>(ranks, [this](int64_t layer) { return *own_.at(layer); });
}

std::shared_ptr<SharedBase> SharedBase::make(std::shared_ptr<const Checkpoint> checkpoint, LayerLayout layout,
                                             const RankGroup& ranks) {
  return std::shared_ptr<SharedBase>(new SharedBase(std::move(checkpoint), std::move(layout), ranks));
}

RowSource SharedBase::rows(const TensorRef& tensor) {
  const auto found = layout_.places.find(&tensor);
  if (found == layout_.places.end()) return nullptr;
  return [base = shared_from_this(), &tensor, place = found->second](int64_t begin, int64_t end,
                                                                     at::Tensor& out) {
    const Bytes bytes = base->layer(place.layer);
    const auto* first = static_cast<const std::byte*>(bytes->const_data_ptr()) + place.offset;
    base->checkpoint_->read_rows_of(tensor, {first, static_cast<size_t>(place.size)}, begin, end, out);
  };
}

bool SharedBase::is_elsewhere(int64_t number) const {
  return number >= 0 && number < std::ssize(own_) && !own_[number] && layout_.bytes[number] > 0;
}

int64_t SharedBase::next(int64_t number) const {
  const bool turns = backwards_ ? number == 0 : number + 1 == std::ssize(own_);
  return number + (backwards_ == turns ? 1 : -1);
}

void SharedBase::fetch(int64_t number) {
  if (fetched_layer_ == number) return;
  exchange_->finish();
  fetched_layer_ = -1;
  fetched_slot_ = slots_[0] == used_ ? 1 : 0;
  std::shared_ptr<at::Tensor>& slot = slots_[fetched_slot_];
  // Another thread may still expand rows of an earlier layer.
  if (slot.use_count() > 1) slot = std::make_shared<at::Tensor>(at::empty({largest_}, at::kByte));
  exchange_->start(LayerLayout::owner(number, ranks_), number, slot->narrow(0, 0, layout_.bytes[number]));
  fetched_layer_ = number;
}

SharedBase::Bytes SharedBase::layer(int64_t number) {
  const std::lock_guard lock(mutex_);
  if (number == used_layer_) return used_;
  backwards_ = number < used_layer_;
  if (is_elsewhere(number)) {
    fetch(number);
    exchange_->finish();
    used_ = slots_[fetched_slot_];
    fetched_layer_ = -1;
  } else {
    used_ = own_[number];
  }
  used_layer_ = number;
  if (is_elsewhere(next(number))) fetch(next(number));
  return used_;
}

}  // namespace lowrank
