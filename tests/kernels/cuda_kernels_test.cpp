// The kernels for NVIDIA GPUs, compiled for the CPU (tests/support/cuda_on_host), against the CPU's own:
// every one in f32 and bf16, rows of one value, of odd lengths and of several steps of a block, with the
// block's threads in both orders.
#include "kernels/backends/cuda/cuda_kernels.h"

#include <cuda_runtime.h>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/reciprocal.h>
#include <gtest/gtest.h>

#include "kernels/core/cuda_module.h"
#include "kernels/core/device_kernels.h"
#include "kernels/tensor_error.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

using test::FiberOrder;

constexpr int64_t rows = 3;

/// Columns, type of the values, order of a block's threads.
class CudaKernels : public testing::TestWithParam<std::tuple<int64_t, at::ScalarType, FiberOrder>> {
 protected:
  CudaKernels() { test::set_fiber_order(std::get<2>(GetParam())); }

  int64_t columns() const { return std::get<0>(GetParam()); }
  at::ScalarType type() const { return std::get<1>(GetParam()); }
  bool bf16() const { return type() == at::kBFloat16; }
  at::Tensor values(int64_t width) const { return at::randn({rows, width}).to(type()); }

  /// Runs both kernels of a task and compares what they write; make(outputs) gives the task that writes to
  /// them, whose values are at first those of `outputs`.
  template <typename Task, typename Make>
  void compare(Kernel<Task> ours, Kernel<Task> expected, int64_t count,
               const std::vector<at::Tensor>& outputs, const Make& make) const {
    std::vector<at::Tensor> of_gpu, of_cpu;
    for (const at::Tensor& output : outputs) {
      of_gpu.push_back(output.clone());
      of_cpu.push_back(output.clone());
    }
    ASSERT_EQ(ours(make(of_gpu), count, nullptr), 0);
    ASSERT_EQ(expected(make(of_cpu), count, nullptr), 0);
    for (size_t i = 0; i < outputs.size(); ++i) {
      SCOPED_TRACE(i);
      const bool rounded = outputs[i].scalar_type() == at::kBFloat16;
      EXPECT_LT(relative(of_gpu[i], of_cpu[i].to(at::kDouble), 0.5), rounded ? 1.0 / 128 : 1e-5);
    }
  }
};

std::string name_of(const testing::TestParamInfo<CudaKernels::ParamType>& info) {
  const auto& [columns, type, order] = info.param;
  return std::to_string(columns) + (type == at::kFloat ? "_f32_" : "_bf16_") +
         (order == FiberOrder::ascending ? "ascending" : "descending");
}

INSTANTIATE_TEST_SUITE_P(All, CudaKernels,
                         testing::Combine(testing::Values(1, 7, 64, 132, 577, 4160),
                                          testing::Values(at::kFloat, at::kBFloat16),
                                          testing::Values(FiberOrder::ascending, FiberOrder::descending)),
                         name_of);

TEST_P(CudaKernels, RmsNorm) {
  const at::Tensor stream = at::randn({rows, columns()}), branch = values(columns());
  const at::Tensor weight = at::rand({columns()}) + 0.5, reciprocal = weight.reciprocal();
  for (const bool adds : {true, false}) {
    const std::vector<at::Tensor> outputs{at::full_like(stream, -1.0), values(columns()), at::empty({rows})};
    compare(cuda_kernels().rms_norm_forward, cpu_kernels().rms_norm_forward, rows, outputs,
            [&](std::vector<at::Tensor>& to) {
              return RmsNormForward{stream.const_data_ptr<float>(),
                                    adds ? branch.const_data_ptr() : nullptr,
                                    weight.const_data_ptr<float>(),
                                    to[0].mutable_data_ptr<float>(),
                                    to[1].mutable_data_ptr(),
                                    to[2].mutable_data_ptr<float>(),
                                    columns(),
                                    0.1F,
                                    bf16(),
                                    bf16()};
            });
  }
}

TEST_P(CudaKernels, RmsNormGradient) {
  const at::Tensor normed = values(columns()), d_normed = values(columns());
  const at::Tensor inverse = at::rand({rows}) + 0.5, d_sum = at::randn({rows, columns()});
  const at::Tensor weight = at::rand({columns()}) + 0.5, reciprocal = weight.reciprocal();
  for (const bool all : {true, false}) {
    const std::vector<at::Tensor> outputs{at::randn({rows, columns()}),
                                          at::randn({rows, columns()}).to(at::kBFloat16)};
    compare(cuda_kernels().rms_norm_backward, cpu_kernels().rms_norm_backward, rows, outputs,
            [&](std::vector<at::Tensor>& to) {
              return RmsNormBackward{normed.const_data_ptr(),
                                     inverse.const_data_ptr<float>(),
                                     weight.const_data_ptr<float>(),
                                     reciprocal.const_data_ptr<float>(),
                                     d_normed.const_data_ptr(),
                                     all ? d_sum.const_data_ptr<float>() : nullptr,
                                     to[0].mutable_data_ptr<float>(),
                                     all ? static_cast<uint16_t*>(to[1].mutable_data_ptr()) : nullptr,
                                     columns(),
                                     bf16()};
            });
  }
}

TEST_P(CudaKernels, HeadNorm) {
  constexpr int64_t heads = 3, kv_heads = 1, in_row = heads + 2 * kv_heads;
  const int64_t width = in_row * columns();
  const at::Tensor qkv = values(width), d_out = values(width);
  const at::Tensor query_weight = at::rand({columns()}), key_weight = at::rand({columns()}) + 1;
  const HeadNorm norm{qkv.const_data_ptr(),
                      query_weight.const_data_ptr<float>(),
                      key_weight.const_data_ptr<float>(),
                      width,
                      heads,
                      kv_heads,
                      columns(),
                      0.1F,
                      bf16()};
  compare(cuda_kernels().head_norm_forward, cpu_kernels().head_norm_forward, rows, {values(width)},
          [&](std::vector<at::Tensor>& to) {
            return HeadNormForward{norm, to[0].mutable_data_ptr()};
          });
  compare(cuda_kernels().head_norm_backward, cpu_kernels().head_norm_backward, rows, {values(width)},
          [&](std::vector<at::Tensor>& to) {
            return HeadNormBackward{norm, d_out.const_data_ptr(), to[0].mutable_data_ptr()};
          });
}

TEST_P(CudaKernels, Glu) {
  const at::Tensor gate_up = (at::randn({rows, 2 * columns()}) * 2).to(type()), d_out = values(columns());
  for (const Gate gate : {Gate::silu, Gate::gelu_tanh, Gate::gelu}) {
    compare(cuda_kernels().glu_forward, cpu_kernels().glu_forward, rows, {values(columns())},
            [&](std::vector<at::Tensor>& to) {
              return GluForward{gate_up.const_data_ptr(), to[0].mutable_data_ptr(), columns(), gate, bf16()};
            });
    compare(cuda_kernels().glu_backward, cpu_kernels().glu_backward, rows, {values(2 * columns())},
            [&](std::vector<at::Tensor>& to) {
              return GluBackward{gate_up.const_data_ptr(),
                                 d_out.const_data_ptr(),
                                 to[0].mutable_data_ptr(),
                                 columns(),
                                 gate,
                                 bf16()};
            });
  }
}

TEST_P(CudaKernels, Rotation) {
  // Heads of which all columns turn, and of which three do not.
  for (const int64_t rest : {0, 3}) {
    const int64_t half = columns(), head_dim = 2 * half + rest, width = 4 * head_dim + 5;
    const at::Tensor in = values(width), cos = at::randn({rows, half}), sin = at::randn({rows, half});
    for (const bool adjacent : {false, true}) {
      compare(cuda_kernels().rotate, cpu_kernels().rotate, rows, {values(width)},
              [&](std::vector<at::Tensor>& to) {
                return Rotation{in.const_data_ptr(),
                                to[0].mutable_data_ptr(),
                                cos.const_data_ptr<float>(),
                                sin.const_data_ptr<float>(),
                                width,
                                3,
                                head_dim,
                                half,
                                -1,
                                bf16(),
                                adjacent};
              });
    }
  }
}

TEST_P(CudaKernels, DropoutHasTheSameBits) {
  const at::Tensor in = values(columns());
  at::Tensor of_gpu = at::empty_like(in), of_cpu = at::empty_like(in);
  const DropoutMask mask{0x123456789ABCDEF0U, 1U << 30, 1.5F};
  const int64_t groups = (in.numel() + 3) / 4;
  cuda_kernels().drop({in.const_data_ptr(), of_gpu.mutable_data_ptr(), in.numel(), mask, bf16()}, groups, {});
  cpu_kernels().drop({in.const_data_ptr(), of_cpu.mutable_data_ptr(), in.numel(), mask, bf16()}, groups, {});
  EXPECT_TRUE(at::equal(of_gpu, of_cpu));
}

TEST_P(CudaKernels, SoftmaxLoss) {
  const at::Tensor logits = (at::randn({rows, columns()}) * 4).to(type());
  const at::Tensor targets = at::randint(columns(), {rows}, at::kLong);
  for (const SoftmaxLossForm form : {SoftmaxLossForm{}, SoftmaxLossForm{5, 0}, SoftmaxLossForm{3, 0.2F}}) {
    for (const bool slopes : {false, true}) {
      compare(cuda_kernels().softmax_loss, cpu_kernels().softmax_loss, rows, {logits, at::empty({rows})},
              [&](std::vector<at::Tensor>& to) {
                return SoftmaxLoss{to[0].mutable_data_ptr(),
                                   targets.const_data_ptr<int64_t>(),
                                   to[1].mutable_data_ptr<float>(),
                                   columns(),
                                   slopes,
                                   bf16(),
                                   form};
              });
    }
  }
}

TEST_P(CudaKernels, AdamW) {
  const at::Tensor gradient = at::randn({columns()});
  const std::vector<at::Tensor> outputs{at::randn({columns()}), at::randn({columns()}),
                                        at::rand({columns()})};
  const AdamWStep step{0.5F, 0.1F, 0.99F, 0.01F, 0.9F, 0.01F, 1.5F, 1e-8F};
  compare(cuda_kernels().adamw_step, cpu_kernels().adamw_step, columns(), outputs,
          [&](std::vector<at::Tensor>& to) {
            return AdamWTask{to[0].mutable_data_ptr<float>(), gradient.const_data_ptr<float>(),
                             to[1].mutable_data_ptr<float>(), to[2].mutable_data_ptr<float>(), step};
          });
}

/// Minus infinity is a masked token; NaN must not be lost.
TEST(CudaKernel, SoftmaxLossOfValuesThatAreNotFinite) {
  for (const double other : {-double{INFINITY}, double{NAN}}) {
    at::Tensor logits = at::randn({1, 70});
    logits[0][1] = other;
    logits[0][40] = other;
    const at::Tensor expected = logits.clone(), targets = at::full({1}, 2, at::kLong);
    float nll[2];
    const auto task = [&](const at::Tensor& of, float& to) {
      return SoftmaxLoss{of.mutable_data_ptr(), targets.const_data_ptr<int64_t>(), &to, 70, true, false, {}};
    };
    cuda_kernels().softmax_loss(task(logits, nll[0]), 1, nullptr);
    cpu_kernels().softmax_loss(task(expected, nll[1]), 1, nullptr);
    if (std::isnan(other)) {
      EXPECT_TRUE(std::isnan(nll[0]));
    } else {
      EXPECT_NEAR(nll[0], nll[1], 1e-5);
      EXPECT_LT(relative(logits, expected.to(at::kDouble), 0.5), 1e-5);
    }
  }
}

/// Each thread reads its neighbour's value, with a barrier in between or without one.
int sum_of_neighbours(FiberOrder order, bool with_barrier) {
  test::set_fiber_order(order);
  int values[64] = {}, sum = 0;
  test::run_grid(dim3(1), dim3(64), [&] {
    values[threadIdx.x] = static_cast<int>(threadIdx.x) + 1;
    if (with_barrier) __syncthreads();
    sum += static_cast<int>(threadIdx.x) * values[(threadIdx.x + 1) % 64];
  });
  return sum;
}

TEST(CudaOnHost, AMissingBarrierShows) {
  const int right = sum_of_neighbours(FiberOrder::ascending, true);
  EXPECT_EQ(sum_of_neighbours(FiberOrder::descending, true), right);
  EXPECT_NE(sum_of_neighbours(FiberOrder::ascending, false),
            sum_of_neighbours(FiberOrder::descending, false));
}

TEST(CudaOnHost, ThreadsThatWaitAtDifferentPlacesAreAnError) {
  const auto diverge = [] { threadIdx.x == 0 ? __syncwarp() : __syncthreads(); };
  EXPECT_THROW(test::run_grid(dim3(1), dim3(64), diverge), std::logic_error);
}

TEST(CudaOnHost, AGridThatNoGpuTakesIsRefused) {
  cudaLaunchConfig_t config;
  config.blockDim = dim3(2048);
  EXPECT_NE(cudaLaunchKernelEx(
                &config, +[] {}),
            0);
}

TEST(CudaModule, WhatIsNotOurLibraryIsASentence) {
  test::expect_error(ErrorKind::unsupported, "device cuda", "nowhere.so",
                     [] { kernels_of_module("/nowhere.so"); });
  test::expect_error(ErrorKind::unsupported, "libz.so.1", "another version",
                     [] { kernels_of_module("libz.so.1"); });
  EXPECT_EQ(lowrank_cuda_kernels("0.0.0", sizeof(KernelTable)), nullptr);
  EXPECT_EQ(lowrank_cuda_kernels(LOWRANK_VERSION, sizeof(KernelTable) - 8), nullptr);
  EXPECT_EQ(lowrank_cuda_kernels(LOWRANK_VERSION, sizeof(KernelTable)), &cuda_kernels());
}

TEST(CudaModule, HasCodeForFourArchitecturesAndIsLoadedWithoutAGpu) {
#ifdef LOWRANK_CUDA_MODULE
  std::ifstream file(LOWRANK_CUDA_MODULE, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  for (const char* code : {"sm_80", "sm_89", "sm_90", "sm_100"})
    EXPECT_NE(bytes.find(code), std::string::npos) << code;
  ASSERT_TRUE(dlopen(LOWRANK_CUDA_RUNTIME, RTLD_NOW | RTLD_GLOBAL)) << dlerror();
  const KernelTable& kernels = kernels_of_module(LOWRANK_CUDA_MODULE);
  EXPECT_NE(kernels.rms_norm_forward, nullptr);
  EXPECT_NE(kernels.rms_norm_forward, cuda_kernels().rms_norm_forward);
#else
  GTEST_SKIP() << "built without nvcc";
#endif
}

}  // namespace
}  // namespace lowrank
