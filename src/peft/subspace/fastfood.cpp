#include "peft/subspace/fastfood.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <ATen/ops/empty.h>

#include "base/rng.h"
#include "kernels/operations/walsh_hadamard.h"

namespace lowrank {
namespace {

/// Streams of a tensor's seed.
enum Stream : uint64_t { signs, permutation, normals };

int64_t power_of_two(int64_t at_least) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(at_least)));
}

}  // namespace

Fastfood::Fastfood(int64_t count, int64_t dimension, uint64_t seed)
    : count_(count),
      dimension_(dimension),
      padded_(power_of_two(count)),
      period_(std::min(padded_, power_of_two(dimension))) {
  Philox sign(seed, Stream::signs);
  signs_.resize(std::min(dimension_, period_));
  for (float& value : signs_) value = sign.next() % 2 == 0 ? 1.0F : -1.0F;

  std::vector<int64_t> order(padded_);
  std::iota(order.begin(), order.end(), 0);
  Philox draw(seed, Stream::permutation);
  shuffle(order, draw);
  const auto kept = [&](auto& places) {
    places.resize(padded_);
    for (int64_t i = 0; i < padded_; ++i) places[i] = order[i] & (period_ - 1);
  };
  period_ <= 1 << 16 ? kept(narrow_) : kept(wide_);

  Philox normal(seed, Stream::normals);
  normals_.resize(padded_);
  double squares = 0;
  for (float& value : normals_) {
    value = normal.normal();
    squares += double{value} * value;
  }
  scale_ = 1 / std::sqrt(static_cast<double>(count_) * squares);
}

template <class T>
void Fastfood::project_values(const T* x, T* out) const {
  std::vector<T> first(period_), second(padded_);
  for (size_t i = 0; i < signs_.size(); ++i) first[i] = x[i] * signs_[i];
  walsh_hadamard(std::span(first));
  for (int64_t i = 0; i < padded_; ++i) second[i] = first[place(i)] * normals_[i];
  walsh_hadamard(std::span(second));
  for (int64_t i = 0; i < count_; ++i) out[i] = second[i] * static_cast<T>(scale_);
}

template <class T>
void Fastfood::transposed_values(const T* y, T* out) const {
  std::vector<T> first(period_), second(padded_);
  for (int64_t i = 0; i < count_; ++i) second[i] = y[i] * static_cast<T>(scale_);
  walsh_hadamard(std::span(second));
  for (int64_t i = 0; i < padded_; ++i) first[place(i)] += second[i] * normals_[i];
  walsh_hadamard(std::span(first));
  for (size_t i = 0; i < signs_.size(); ++i) out[i] = first[i] * signs_[i];
  std::fill(out + signs_.size(), out + dimension_, T{0});
}

at::Tensor Fastfood::project(const at::Tensor& x) const {
  const at::Tensor from = x.detach().cpu().contiguous();
  at::Tensor out = at::empty({count_}, from.options());
  if (from.scalar_type() == at::kDouble) {
    project_values(from.const_data_ptr<double>(), out.mutable_data_ptr<double>());
  } else {
    project_values(from.const_data_ptr<float>(), out.mutable_data_ptr<float>());
  }
  return out.to(x.device());
}

at::Tensor Fastfood::transposed(const at::Tensor& y) const {
  const at::Tensor from = y.detach().cpu().contiguous();
  at::Tensor out = at::empty({dimension_}, from.options());
  if (from.scalar_type() == at::kDouble) {
    transposed_values(from.const_data_ptr<double>(), out.mutable_data_ptr<double>());
  } else {
    transposed_values(from.const_data_ptr<float>(), out.mutable_data_ptr<float>());
  }
  return out.to(y.device());
}

}  // namespace lowrank
