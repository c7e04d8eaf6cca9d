#include "kernels/products/nf4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>

#include "base/half.h"
#include "kernels/products/cpu/nf4_cpu.h"
#include "kernels/tasks/nf4_codes.h"

namespace lowrank {
namespace {

constexpr int64_t block_size = 64;
constexpr int64_t scale_block_size = 256;
constexpr float tiny = 1e-38F;

constexpr std::array<float, 16> codes = nf4_codes();

float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

/// Calls put(i, index) with the index of the code nearest to each value divided by `scale`; `middles` lie
/// between neighbouring sorted codes.
template <typename Put>
void nearest(std::span<const float> values, float scale, std::span<const float> middles, Put put) {
  const float factor = 1.0F / std::max(scale, tiny);
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = std::clamp(values[i] * factor, -1.0F, 1.0F);
    put(i, static_cast<uint8_t>(std::ranges::lower_bound(middles, value) - middles.begin()));
  }
}

std::vector<float> middles_of(std::span<const float> sorted) {
  std::vector<float> middles;
  for (size_t i = 0; i + 1 < sorted.size(); ++i) middles.push_back((sorted[i] + sorted[i + 1]) / 2);
  return middles;
}

std::span<const float> floats(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

void quantise_scales(const at::Tensor& scales, Nf4& out) {
  out.offset = scales.mean().item<float>();
  const at::Tensor centred = scales - out.offset;
  const at::Tensor code = dynamic_map();
  const std::vector<float> middles = middles_of(floats(code));
  const auto values = floats(centred);
  out.scale_indices = at::empty({scales.numel()}, at::kByte);
  out.scale_scales = at::empty({(scales.numel() + scale_block_size - 1) / scale_block_size}, at::kFloat);
  auto* indices = out.scale_indices.mutable_data_ptr<uint8_t>();
  for (size_t begin = 0, block = 0; begin < values.size(); begin += scale_block_size, ++block) {
    const auto part = values.subspan(begin, std::min<size_t>(scale_block_size, values.size() - begin));
    const float scale = largest(part);
    out.scale_scales.mutable_data_ptr<float>()[block] = scale;
    nearest(part, scale, middles, [&](size_t i, uint8_t index) { indices[begin + i] = index; });
  }
}

template <typename Value, typename Convert>
void expand_into(const Nf4Values& from, at::Tensor& out, int64_t begin, Convert convert) {
  auto* target = static_cast<Value*>(out.mutable_data_ptr());
  for (int64_t i = begin; i < begin + out.numel(); ++i) {
    const uint8_t index = i % 2 == 0 ? from.packed[i / 2] >> 4 : from.packed[i / 2] & 0xF;
    target[i - begin] = convert(from.codes[index] * from.scales[i / from.block - from.first_block]);
  }
}

void expand_plainly(const Nf4Values& from, int64_t begin, at::Tensor& out) {
  const auto same = [](float value) { return value; };
  if (out.scalar_type() == at::kFloat) return expand_into<float>(from, out, begin, same);
  if (out.scalar_type() == at::kDouble) return expand_into<double>(from, out, begin, same);
  expand_into<uint16_t>(from, out, begin, bf16_from_float);
}

void expand_any(const Nf4Values& from, int64_t begin, at::Tensor& out) {
  if (out.scalar_type() == at::kDouble) return expand_plainly(from, begin, out);
  expand_nf4_cpu(from, out.mutable_data_ptr(), out.scalar_type() == at::kBFloat16, begin,
                 begin + out.numel());
}

/// `scales` begin with that of block `first`.
Nf4Values values_of(const at::Tensor& packed, const at::Tensor& scales, int64_t first, int64_t block) {
  return {packed.const_data_ptr<uint8_t>(), codes.data(), scales.const_data_ptr<float>(), first, block};
}

}  // namespace

at::Tensor dynamic_map() {
  std::vector<at::Tensor> parts{at::tensor({0.0F, 1.0F})};
  for (int i = 0; i < 7; ++i) {
    const at::Tensor ends = at::linspace(0.1, 1, (1 << i) + 1, at::kFloat);
    const at::Tensor middles = (ends.narrow(0, 0, 1 << i) + ends.narrow(0, 1, 1 << i)) / 2.0;
    parts.push_back(middles * std::pow(10.0, i - 6));
    parts.push_back(-parts.back());
  }
  return std::get<0>(at::sort(at::cat(parts)));
}

Nf4 quantise_nf4(const at::Tensor& values) {
  const std::span<const float> all = floats(values);
  const std::vector<float> middles = middles_of(codes);
  Nf4 out;
  out.packed = at::empty({(values.numel() + 1) / 2}, at::kByte);
  out.packed.fill_(0);
  auto* bytes = out.packed.mutable_data_ptr<uint8_t>();
  at::Tensor scales = at::empty({(values.numel() + block_size - 1) / block_size}, at::kFloat);
  for (size_t begin = 0, block = 0; begin < all.size(); begin += block_size, ++block) {
    const auto part = all.subspan(begin, std::min<size_t>(block_size, all.size() - begin));
    const float scale = largest(part);
    scales.mutable_data_ptr<float>()[block] = scale;
    nearest(part, scale, middles, [&](size_t i, uint8_t index) {
      bytes[(begin + i) / 2] |= static_cast<uint8_t>(i % 2 == 0 ? index << 4 : index);
    });
  }
  // An odd count is padded with the code of zero.
  if (values.numel() % 2 == 1) bytes[values.numel() / 2] |= 7;
  quantise_scales(scales, out);
  return out;
}

at::Tensor nf4_scales(const Nf4& quantised, const at::Tensor& code, int64_t first, int64_t count) {
  at::Tensor scales = at::empty({count}, at::kFloat);
  const auto* indices = quantised.scale_indices.const_data_ptr<uint8_t>();
  const auto* map = code.const_data_ptr<float>();
  const auto* outer = quantised.scale_scales.const_data_ptr<float>();
  auto* out = scales.mutable_data_ptr<float>();
  const auto offset = static_cast<float>(quantised.offset);
  for (int64_t i = first; i < first + count; ++i)
    out[i - first] = map[indices[i]] * outer[i / scale_block_size] + offset;
  return scales;
}

void expand_nf4(const Nf4& quantised, const at::Tensor& code, int64_t begin, at::Tensor& out) {
  const int64_t first = begin / block_size;
  const int64_t last = (begin + out.numel() + block_size - 1) / block_size;
  const at::Tensor scales = nf4_scales(quantised, code, first, last - first);
  expand_any(values_of(quantised.packed, scales, first, block_size), begin, out);
}

void expand_nf4(const at::Tensor& packed, const at::Tensor& scales, int64_t block, int64_t begin,
                at::Tensor& out) {
  expand_any(values_of(packed, scales, 0, block), begin, out);
}

void expand_nf4_reference(const at::Tensor& packed, const at::Tensor& scales, int64_t block, int64_t begin,
                          at::Tensor& out) {
  expand_plainly(values_of(packed, scales, 0, block), begin, out);
}

}  // namespace lowrank
