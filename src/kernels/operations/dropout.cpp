#include "kernels/operations/dropout.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include "base/rng.h"
#include "kernels/core/device.h"
#include "kernels/core/device_kernels.h"

namespace lowrank {
namespace {

DropoutMask mask_of(const Dropout& dropout) {
  return {dropout.seed, static_cast<uint32_t>(std::lround(std::min(dropout.p, 1.0 - 0x1p-20) * 0x1p32)),
          static_cast<float>(1 / (1 - dropout.p))};
}

template <typename T>
void drop(const T* in, T* out, int64_t count, const DropoutMask& mask) {
  for (int64_t i = 0; i < count; ++i) {
    const auto block = static_cast<uint64_t>(i / 4);
    const auto draws =
        philox(mask.seed, {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0});
    out[i] = draws[i % 4] >= mask.threshold ? static_cast<T>(in[i] * mask.kept) : static_cast<T>(0);
  }
}

}  // namespace

at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout) {
  const Kernel<DropoutTask> kernel = kernels_for(x.device()).drop;
  if (!kernel || x.scalar_type() == at::kDouble) return apply_dropout_reference(x, dropout);
  const at::Tensor source = x.contiguous();
  at::Tensor out = at::empty(source.sizes(), source.options());
  const DropoutTask task{source.const_data_ptr(), out.mutable_data_ptr(), x.numel(), mask_of(dropout),
                         x.scalar_type() == at::kBFloat16};
  compute(kernel, task, (x.numel() + 3) / 4, x.device());
  return out;
}

at::Tensor apply_dropout_reference(const at::Tensor& x, const Dropout& dropout) {
  // The mask depends on the seed alone: other devices get the CPU's.
  if (!on_cpu(x)) {
    const auto type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor mask = apply_dropout(at::ones(x.sizes(), type), dropout).to(x.device());
    return (x * mask).to(x.scalar_type());
  }
  const at::Tensor source = x.contiguous();
  at::Tensor out = at::empty(source.sizes(), source.options());
  const DropoutMask mask = mask_of(dropout);
  const auto run = [&]<typename T>(T) {
    drop(source.const_data_ptr<T>(), out.mutable_data_ptr<T>(), x.numel(), mask);
  };
  switch (x.scalar_type()) {
    case at::kFloat:
      run(float{});
      break;
    case at::kDouble:
      run(double{});
      break;
    default:
      run(at::BFloat16{});
      break;
  }
  return out;
}

}  // namespace lowrank
