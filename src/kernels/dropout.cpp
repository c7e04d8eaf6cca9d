#include "kernels/dropout.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty_like.h>

#include "base/rng.h"
#include "kernels/parallel.h"

namespace lowrank {
namespace {

constexpr int64_t elements_per_piece = 1 << 14;

template <typename T>
void drop(const T* in, T* out, int64_t begin, int64_t end, const Dropout& dropout) {
  const auto threshold = static_cast<uint32_t>(std::lround(std::min(dropout.p, 1.0 - 0x1p-20) * 0x1p32));
  const auto kept = static_cast<float>(1 / (1 - dropout.p));
  for (int64_t i = begin; i < end; i += 4) {
    const auto block = static_cast<uint64_t>(i / 4);
    const auto words =
        philox(dropout.seed, {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0});
    for (int64_t j = i; j < std::min(i + 4, end); ++j) {
      out[j] = words[j - i] >= threshold ? static_cast<T>(in[j] * kept) : static_cast<T>(0);
    }
  }
}

template <typename T>
void drop_all(const at::Tensor& x, at::Tensor& out, const Dropout& dropout) {
  const T* in = x.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  const int64_t blocks = (x.numel() + 3) / 4;
  parallel_for(0, blocks, elements_per_piece / 4, [&](int64_t begin, int64_t end) {
    drop(in, to, begin * 4, std::min(end * 4, x.numel()), dropout);
  });
}

}  // namespace

at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout) {
  const at::Tensor source = x.contiguous();
  at::Tensor out = at::empty_like(source);
  switch (x.scalar_type()) {
    case at::kFloat:
      drop_all<float>(source, out, dropout);
      break;
    case at::kDouble:
      drop_all<double>(source, out, dropout);
      break;
    default:
      drop_all<at::BFloat16>(source, out, dropout);
      break;
  }
  return out;
}

}  // namespace lowrank
