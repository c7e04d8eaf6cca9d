#include "kernels/products/prepared_weight.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/core/parallel.h"
#include "kernels/products/products.h"

namespace lowrank {
namespace {

/// The most of an expanded matrix that exists at one time.
constexpr int64_t expanded_bytes = 8 << 20;
/// Where products are fast, parts of a matrix are not.
constexpr int64_t expanded_device_bytes = 256 << 20;
constexpr int64_t rows_per_task = 16;
/// More rows are worth expanding the blocks.
constexpr int64_t most_exact_rows = 16;

}  // namespace

PreparedWeight PreparedWeight::pack(const at::Tensor& w, at::ScalarType compute, BaseMemory memory,
                                    bool for_training, RowSource source) {
  const at::NoGradGuard no_grad;
  PreparedWeight packed;
  packed.out_ = w.size(0);
  packed.in_ = w.size(1);
  packed.type_ = compute;
  const at::Tensor rows = w.to(compute).contiguous();
  if (memory != BaseMemory::fast || !can_pack(compute) || !rows.is_cpu()) {
    packed.rows_ = rows;
    return packed;
  }
  packed.source_ = std::move(source);
  packed.forward_ = packed_for_products(rows);
  if (for_training) packed.back_ = packed_for_products(rows.t().contiguous());
  return packed;
}

PreparedWeight PreparedWeight::expanded(RowSource source, int64_t out, int64_t in, at::ScalarType compute) {
  PreparedWeight weight;
  weight.out_ = out;
  weight.in_ = in;
  weight.type_ = compute;
  weight.source_ = std::move(source);
  return weight;
}

PreparedWeight PreparedWeight::in_blocks(BlockMatrix blocks, BlockInput input, RowSource source,
                                         at::ScalarType compute) {
  PreparedWeight weight = expanded(std::move(source), blocks.out, blocks.in, compute);
  weight.blocks_ = std::make_shared<const BlockMatrix>(std::move(blocks));
  weight.input_ = input;
  return weight;
}

PreparedWeight PreparedWeight::on_device(DeviceMatrix rows, at::ScalarType compute) {
  PreparedWeight weight = expanded(nullptr, rows.out(), rows.in(), compute);
  weight.device_rows_ = std::make_shared<const DeviceMatrix>(std::move(rows));
  return weight;
}

bool PreparedWeight::multiplies_blocks(const at::Tensor& x) const {
  return blocks_ && (input_ == BlockInput::int8 || x.size(0) <= most_exact_rows);
}

at::Tensor PreparedWeight::expand(int64_t begin, int64_t end, at::ScalarType type) const {
  if (device_rows_) return device_rows_->rows(begin, end, type);
  check(static_cast<bool>(source_), ErrorKind::invalid,
        "this weight was packed without the source of its rows");
  at::Tensor rows = at::empty({end - begin, in_}, type);
  parallel_for(begin, end, rows_per_task, [&](int64_t first, int64_t last) {
    at::Tensor slice = rows.narrow(0, first - begin, last - first);
    source_(first, last, slice);
  });
  return rows;
}

int64_t PreparedWeight::step() const {
  const int64_t row_bytes = in_ * static_cast<int64_t>(c10::elementSize(type_));
  return std::clamp<int64_t>((device_rows_ ? expanded_device_bytes : expanded_bytes) / row_bytes, 1, out_);
}

at::Tensor PreparedWeight::forward_expanded(const at::Tensor& x, const std::optional<at::Tensor>& bias,
                                            int64_t begin, int64_t end) const {
  if (end - begin <= step()) return product(x, expand(begin, end, type_), bias);
  at::Tensor y = at::empty({x.size(0), end - begin}, x.options());
  for (int64_t first = begin; first < end; first += step()) {
    const int64_t count = std::min(end - first, step());
    const auto part = bias ? std::optional(bias->narrow(0, first - begin, count)) : std::nullopt;
    y.narrow(1, first - begin, count).copy_(product(x, expand(first, first + count, type_), part));
  }
  return y;
}

at::Tensor PreparedWeight::gradient_expanded(const at::Tensor& dy, int64_t begin, int64_t end) const {
  if (end - begin <= step()) return product(dy, expand(begin, end, type_).t());
  at::Tensor dx = at::zeros({dy.size(0), in_}, dy.options().dtype(at::kFloat));
  for (int64_t first = begin; first < end; first += step()) {
    const int64_t count = std::min(end - first, step());
    dx.add_(
        product(dy.narrow(1, first - begin, count).contiguous(), expand(first, first + count, type_).t()));
  }
  return dx.to(type_);
}

at::Tensor PreparedWeight::forward(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
  if (x.size(0) == 0) return x.new_empty({0, out_});
  if (multiplies_blocks(x)) return block_product(x, *blocks_, bias, input_);
  if (keeps_nothing()) return forward_expanded(x, bias, 0, out_);
  return product(x, forward_.defined() ? forward_ : rows_, bias);
}

at::Tensor PreparedWeight::input_gradient(const at::Tensor& dy) const {
  if (dy.size(0) == 0) return dy.new_empty({0, in_});
  if (keeps_nothing()) return gradient_expanded(dy, 0, out_);
  if (back_.defined()) return product(dy, back_);
  check(rows_.defined(), ErrorKind::invalid, "this weight was packed without its input gradient");
  return product(dy, rows_.t());
}

at::Tensor PreparedWeight::rows(int64_t begin, int64_t end, at::ScalarType type) const {
  return rows_.defined() ? rows_.narrow(0, begin, end - begin).to(type) : expand(begin, end, type);
}

at::Tensor PreparedWeight::forward(const at::Tensor& x, int64_t begin, int64_t end) const {
  if (begin == 0 && end == out_) return forward(x);
  if (x.size(0) == 0) return x.new_empty({0, end - begin});
  return rows_.defined() ? product(x, rows_.narrow(0, begin, end - begin))
                         : forward_expanded(x, std::nullopt, begin, end);
}

at::Tensor PreparedWeight::input_gradient(const at::Tensor& dy, int64_t begin, int64_t end) const {
  if (begin == 0 && end == out_) return input_gradient(dy);
  if (dy.size(0) == 0) return dy.new_empty({0, in_});
  return rows_.defined() ? product(dy, rows_.narrow(0, begin, end - begin).t())
                         : gradient_expanded(dy, begin, end);
}

int64_t PreparedWeight::bytes() const {
  int64_t bytes = device_rows_ ? device_rows_->bytes() : 0;
  for (const at::Tensor& copy : {rows_, forward_, back_}) {
    if (copy.defined()) bytes += out_ * in_ * static_cast<int64_t>(c10::elementSize(type_));
  }
  return bytes;
}

}  // namespace lowrank
