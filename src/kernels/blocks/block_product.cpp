#include "kernels/blocks/block_product.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/half.h"
#include "formats/block_formats.h"
#include "kernels/blocks/cpu/block_kernels.h"
#include "kernels/blocks/cpu/exact_rows_cpu.h"
#include "kernels/core/node.h"
#include "kernels/core/op_profile.h"
#include "kernels/core/parallel.h"

namespace lowrank {
namespace {

constexpr int64_t block_values = 32;
/// Fewer blocks are rounded, and fewer products with a value of the input computed, on one thread.
constexpr int64_t blocks_per_task = 512, products_per_task = 1 << 16;

/// The kernels for this processor; those without lanes compute nothing.
const BlockKernels& kernels() {
  static const BlockKernels& chosen = []() -> const BlockKernels& {
    static constexpr BlockKernels none;
    if (cpu_features().avx512_vnni) return block_kernels_avx512vnni();
    return cpu_features().avx2 ? block_kernels_avx2() : none;
  }();
  return chosen;
}

bool is_bf16(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16;
}

/// The rows of x in blocks of int8, as a tensor of bytes, since libtorch keeps freed memory.
at::Tensor rounded(const at::Tensor& x) {
  const int64_t rows = x.size(0), columns = x.size(1), row_blocks = columns / block_values;
  at::Tensor blocks =
      at::empty({rows * row_blocks * static_cast<int64_t>(sizeof(ActivationBlock))}, at::kByte);
  auto* out = reinterpret_cast<ActivationBlock*>(blocks.mutable_data_ptr<uint8_t>());
  const auto* from = static_cast<const std::byte*>(x.const_data_ptr());
  const int64_t most = kernels().most_rows;
  const int64_t row_bytes = x.stride(0) * static_cast<int64_t>(x.element_size());
  parallel_for(0, rows, std::max<int64_t>(1, blocks_per_task / row_blocks), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end;) {
      const int64_t tile = row / most * most, count = std::min(most, rows - tile);
      const int64_t last = std::min(end, tile + count);
      kernels().round(from + tile * row_bytes, is_bf16(x), x.stride(0), row - tile, last - tile, count,
                      columns, out + tile * row_blocks);
      row = last;
    }
  });
  return blocks;
}

/// Calls use(part, first output, first group, last group) for groups of `lanes` stored rows, on several
/// threads.
template <class Use>
void for_each_group(const BlockMatrix& w, int64_t lanes, int64_t products, const Use& use) {
  const auto groups_of = [&](const BlockRows& part) { return (part.rows + lanes - 1) / lanes; };
  int64_t groups = 0;
  for (const BlockRows& part : w.parts) groups += groups_of(part);
  const int64_t grain = std::max<int64_t>(1, products_per_task / std::max<int64_t>(1, products));
  parallel_for(0, groups, grain, [&](int64_t begin, int64_t end) {
    int64_t first = 0, output = 0;
    for (const BlockRows& part : w.parts) {
      const int64_t own = groups_of(part);
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, own);
      if (from < to) use(part, output, from, to);
      first += own;
      output += part.rows;
    }
  });
}

void multiply_rounded(const at::Tensor& blocks, const BlockMatrix& w, const float* bias, at::Tensor& y) {
  const BlockInputs input{reinterpret_cast<const ActivationBlock*>(blocks.const_data_ptr<uint8_t>()),
                          y.size(0), w.in / block_values};
  auto* out = static_cast<std::byte*>(y.mutable_data_ptr());
  const auto size = static_cast<int64_t>(y.element_size());
  const int64_t lanes = kernels().lanes;
  for_each_group(w, lanes, lanes * w.in * y.size(0),
                 [&](const BlockRows& part, int64_t output, int64_t first, int64_t last) {
                   BlockTask task{&part, first, last, input, bias ? bias + output : nullptr};
                   task.y = out + output * size;
                   task.y_stride = y.stride(0);
                   task.bf16 = is_bf16(y);
                   kernels().multiply(task);
                 });
}

void multiply_exactly(const at::Tensor& x, const BlockMatrix& w, const float* bias, at::Tensor& y) {
  const at::Tensor wide = x.to(at::kFloat).contiguous();
  const int64_t rows = y.size(0);
  const auto put = [&](int64_t row, int64_t output, float value) {
    if (bias) value += bias[output];
    const int64_t at = row * y.stride(0) + output;
    if (is_bf16(y)) {
      static_cast<uint16_t*>(y.mutable_data_ptr())[at] = bf16_from_float(value);
    } else {
      static_cast<float*>(y.mutable_data_ptr())[at] = value;
    }
  };
  for_each_group(w, 1, w.in * rows, [&](const BlockRows& part, int64_t output, int64_t first, int64_t last) {
    std::vector<float> values(w.in), sums(rows);
    for (int64_t stored = first; stored < last; ++stored) {
      expand(part.dtype, {part.data + stored * part.row_bytes, static_cast<size_t>(part.row_bytes)}, values);
      exact_row_cpu(values.data(), wide.const_data_ptr<float>(), rows, w.in, sums.data());
      const int64_t place = output + (part.places.empty() ? stored : part.places[stored]);
      for (int64_t row = 0; row < rows; ++row) put(row, place, sums[row]);
    }
  });
}

bool all_have_int8(const BlockMatrix& w) {
  return std::ranges::all_of(w.parts, [](const BlockRows& part) { return has_int8_blocks(part.dtype); });
}

void compute(const at::Tensor& x, const BlockMatrix& w, const float* bias, BlockInput input, at::Tensor& y) {
  if (input == BlockInput::int8 && all_have_int8(w)) return multiply_rounded(rounded(x), w, bias, y);
  if (input == BlockInput::exact || w.parts.size() == 1) return multiply_exactly(x, w, bias, y);
  // Parts of different types: each as its own type allows.
  int64_t output = 0;
  for (const BlockRows& part : w.parts) {
    at::Tensor columns = y.narrow(1, output, part.rows);
    compute(x, {{part}, part.rows, w.in}, bias ? bias + output : nullptr, input, columns);
    output += part.rows;
  }
}

/// x as the kernel with int8 inputs reads it, in f64.
void round_reference(std::vector<double>& x) {
  for (size_t begin = 0; begin < x.size(); begin += block_values) {
    double largest = 0;
    for (int64_t i = 0; i < block_values; ++i) largest = std::max(largest, std::abs(x[begin + i]));
    const float scale = static_cast<float>(largest) / 127;
    const float inverse = largest > 0 ? 127 / static_cast<float>(largest) : 0;
    for (int64_t i = 0; i < block_values; ++i) {
      double& value = x[begin + i];
      value = double{scale} * std::nearbyint(value * double{inverse});
    }
  }
}

}  // namespace

bool has_int8_blocks(DType dtype) {
  return kernels().knows && kernels().knows(dtype);
}

at::Tensor block_product(const at::Tensor& x, const BlockMatrix& w, const std::optional<at::Tensor>& bias,
                         BlockInput input) {
  const OpScope scope("block_product");
  const at::NoGradGuard no_grad;
  check(x.scalar_type() == at::kFloat || is_bf16(x), ErrorKind::unsupported,
        "products with blocks take f32 or bf16");
  check(x.size(1) == w.in, ErrorKind::invalid, "rows of {} values times a matrix of {} columns", x.size(1),
        w.in);
  const at::Tensor rows = x.stride(1) == 1 ? x : x.contiguous();
  at::Tensor y = at::empty({x.size(0), w.out}, x.options());
  if (x.size(0) == 0) return y;
  const at::Tensor offsets = bias ? bias->to(at::kFloat).contiguous() : at::Tensor();
  compute(rows, w, bias ? offsets.const_data_ptr<float>() : nullptr, input, y);
  if (ProfileScope::active()) {
    const double flops = 2 * static_cast<double>(x.size(0)) * static_cast<double>(w.out * w.in);
    ProfileScope::add_product(flops, [=]() mutable {
      compute(rows, w, offsets.defined() ? offsets.const_data_ptr<float>() : nullptr, input, y);
    });
  }
  return y;
}

at::Tensor block_product_reference(const at::Tensor& x, const BlockMatrix& w,
                                   const std::optional<at::Tensor>& bias, BlockInput input) {
  const int64_t rows = x.size(0);
  const at::Tensor wide = x.to(at::kDouble).contiguous();
  at::Tensor y = at::empty({rows, w.out}, at::kDouble);
  std::vector<float> values(w.in);
  std::vector<double> own(w.in);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t output = 0;
    for (const BlockRows& part : w.parts) {
      std::copy_n(wide.const_data_ptr<double>() + row * w.in, w.in, own.begin());
      if (input == BlockInput::int8 && has_int8_blocks(part.dtype)) round_reference(own);
      for (int64_t stored = 0; stored < part.rows; ++stored) {
        expand(part.dtype, {part.data + stored * part.row_bytes, static_cast<size_t>(part.row_bytes)},
               values);
        double sum = 0;
        for (int64_t i = 0; i < w.in; ++i) sum += own[i] * double{values[i]};
        const int64_t place = output + (part.places.empty() ? stored : part.places[stored]);
        y.mutable_data_ptr<double>()[row * w.out + place] = sum;
      }
      output += part.rows;
    }
  }
  if (bias) y.add_(bias->to(at::kDouble));
  return y.to(x.scalar_type());
}

}  // namespace lowrank
