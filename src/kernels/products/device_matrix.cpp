#include "kernels/products/device_matrix.h"

#include <algorithm>
#include <cstring>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "kernels/core/device_kernels.h"

namespace lowrank {
namespace {

/// The rows' bytes in the order of the outputs that they compute, uint8 [rows, row_bytes].
at::Tensor bytes_in_order(const BlockRows& from) {
  // Read only, and gone before the file is.
  if (from.places.empty())
    return at::from_blob(const_cast<std::byte*>(from.data), {from.rows, from.row_bytes}, at::kByte);
  at::Tensor bytes = at::empty({from.rows, from.row_bytes}, at::kByte);
  auto* to = bytes.mutable_data_ptr<uint8_t>();
  for (int64_t row = 0; row < from.rows; ++row) {
    std::memcpy(to + from.places[row] * from.row_bytes, from.data + row * from.row_bytes, from.row_bytes);
  }
  return bytes;
}

}  // namespace

bool DeviceMatrix::is_possible(at::Device device) {
  return !device.is_cpu() && kernels_for(device).expand_blocks && kernels_for(device).expand_nf4;
}

void DeviceMatrix::append(std::variant<at::Tensor, Blocks, Codes> rows, int64_t count) {
  parts_.push_back({std::move(rows), out_, out_ + count});
  out_ += count;
}

void DeviceMatrix::add(const BlockRows& rows) {
  check(has_block_kernel(rows.dtype), ErrorKind::unsupported, "a device has no kernel for values of type {}",
        info_of(rows.dtype).name);
  append(Blocks{rows.dtype, bytes_in_order(rows).to(device_)}, rows.rows);
}

void DeviceMatrix::add(const Nf4& values, int64_t rows) {
  const Nf4 there{values.packed.to(device_), values.scale_indices.to(device_),
                  values.scale_scales.to(device_), values.offset};
  append(Codes{there, dynamic_map().to(device_)}, rows);
}

void DeviceMatrix::add(const at::Tensor& rows) {
  append(rows.to(device_), rows.size(0));
}

int64_t DeviceMatrix::bytes() const {
  int64_t sum = 0;
  for (const Part& part : parts_) {
    if (const auto* dense = std::get_if<at::Tensor>(&part.rows)) sum += static_cast<int64_t>(dense->nbytes());
    if (const auto* blocks = std::get_if<Blocks>(&part.rows)) sum += blocks->bytes.numel();
    if (const auto* codes = std::get_if<Codes>(&part.rows)) {
      sum += codes->values.packed.numel() + codes->values.scale_indices.numel() +
             static_cast<int64_t>(codes->values.scale_scales.nbytes());
    }
  }
  return sum;
}

at::Tensor DeviceMatrix::expanded(const Part& part, int64_t begin, int64_t end, at::ScalarType type) const {
  if (const auto* dense = std::get_if<at::Tensor>(&part.rows))
    return dense->narrow(0, begin, end - begin).to(type);
  at::Tensor out = at::empty({end - begin, in_}, at::TensorOptions().dtype(type).device(device_));
  const bool bf16 = type == at::kBFloat16;
  if (const auto* blocks = std::get_if<Blocks>(&part.rows)) {
    const int64_t row_bytes = blocks->bytes.size(1);
    const ExpandBlocks op{blocks->bytes.const_data_ptr<uint8_t>() + begin * row_bytes,
                          out.mutable_data_ptr(),
                          in_,
                          row_bytes,
                          blocks->dtype,
                          bf16};
    compute(kernels_for(device_).expand_blocks, op, end - begin, device_);
    return out;
  }
  const auto& [values, code] = std::get<Codes>(part.rows);
  const ExpandNf4 op{values.packed.const_data_ptr<uint8_t>(),
                     values.scale_indices.const_data_ptr<uint8_t>(),
                     values.scale_scales.const_data_ptr<float>(),
                     code.const_data_ptr<float>(),
                     static_cast<float>(values.offset),
                     begin * in_,
                     out.mutable_data_ptr(),
                     bf16};
  compute(kernels_for(device_).expand_nf4, op, out.numel(), device_);
  return out;
}

at::Tensor DeviceMatrix::rows(int64_t begin, int64_t end, at::ScalarType type) const {
  check(type == at::kFloat || type == at::kBFloat16, ErrorKind::unsupported,
        "weights in blocks on a device are expanded to f32 or bf16");
  std::vector<at::Tensor> pieces;
  for (const Part& part : parts_) {
    const int64_t first = std::max(begin, part.begin), last = std::min(end, part.end);
    if (first < last) pieces.push_back(expanded(part, first - part.begin, last - part.begin, type));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

}  // namespace lowrank
