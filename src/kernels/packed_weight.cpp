#include "kernels/packed_weight.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/parallel.h"
#include "kernels/products.h"

namespace lowrank {
namespace {

/// What exists of an expanded matrix at one time.
constexpr int64_t expanded_bytes = 8 << 20;
constexpr int64_t rows_per_task = 16;

}  // namespace

PackedWeight PackedWeight::pack(const at::Tensor& w, at::ScalarType compute, BaseMemory memory,
                                bool for_training) {
  const at::NoGradGuard no_grad;
  PackedWeight packed;
  packed.out_ = w.size(0);
  packed.in_ = w.size(1);
  packed.type_ = compute;
  const at::Tensor rows = w.to(compute).contiguous();
  if (memory == BaseMemory::one || !can_pack(compute)) {
    packed.rows_ = rows;
    return packed;
  }
  packed.forward_ = packed_for_products(rows);
  if (for_training) packed.back_ = packed_for_products(rows.t().contiguous());
  return packed;
}

PackedWeight PackedWeight::expanded(RowSource source, int64_t out, int64_t in, at::ScalarType compute) {
  PackedWeight weight;
  weight.out_ = out;
  weight.in_ = in;
  weight.type_ = compute;
  weight.source_ = std::move(source);
  return weight;
}

at::Tensor PackedWeight::expand(int64_t begin, int64_t end) const {
  at::Tensor rows = at::empty({end - begin, in_}, type_);
  parallel_for(begin, end, rows_per_task, [&](int64_t first, int64_t last) {
    at::Tensor slice = rows.narrow(0, first - begin, last - first);
    source_(first, last, slice);
  });
  return rows;
}

int64_t PackedWeight::step() const {
  const int64_t row_bytes = in_ * static_cast<int64_t>(c10::elementSize(type_));
  return std::clamp<int64_t>(expanded_bytes / row_bytes, 1, out_);
}

at::Tensor PackedWeight::forward(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
  if (x.size(0) == 0) return x.new_empty({0, out_});
  if (!source_) return product(x, forward_.defined() ? forward_ : rows_, bias);
  if (step() == out_) return product(x, expand(0, out_), bias);
  at::Tensor y = at::empty({x.size(0), out_}, x.options());
  for (int64_t begin = 0; begin < out_; begin += step()) {
    const int64_t end = std::min(out_, begin + step());
    const auto part = bias ? std::optional(bias->narrow(0, begin, end - begin)) : std::nullopt;
    y.narrow(1, begin, end - begin).copy_(product(x, expand(begin, end), part));
  }
  return y;
}

at::Tensor PackedWeight::input_gradient(const at::Tensor& dy) const {
  if (dy.size(0) == 0) return dy.new_empty({0, in_});
  if (source_ && step() == out_) return product(dy, expand(0, out_).t());
  if (source_) {
    at::Tensor dx = at::zeros({dy.size(0), in_}, at::kFloat);
    for (int64_t begin = 0; begin < out_; begin += step()) {
      const int64_t count = std::min(out_, begin + step()) - begin;
      dx.add_(product(dy.narrow(1, begin, count).contiguous(), expand(begin, begin + count).t()));
    }
    return dx.to(type_);
  }
  if (back_.defined()) return product(dy, back_);
  check(rows_.defined(), ErrorKind::invalid, "this weight was packed without its input gradient");
  return product(dy, rows_.t());
}

int64_t PackedWeight::bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& copy : {rows_, forward_, back_}) {
    if (copy.defined()) bytes += out_ * in_ * static_cast<int64_t>(c10::elementSize(type_));
  }
  return bytes;
}

}  // namespace lowrank
