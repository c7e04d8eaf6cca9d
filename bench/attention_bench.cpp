// Times attention against libtorch's flash attention called a sequence at a time with keys and values
// expanded to all heads, on the heads of SmolLM2-135M. Each pair runs in turn; compare lines of the same
// arguments.
#include <memory>
#include <vector>

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "kernels/attention.h"

namespace {

using namespace lowrank;

const AttentionShape smol{9, 3, 64, 0.125, true, 0};

/// Row offsets of `sequences` sequences of `mean` rows on average, from about half of it to one and a half.
std::vector<int64_t> spread_offsets(int64_t sequences, int64_t mean) {
  std::vector<int64_t> offsets{0};
  for (int64_t i = 0; i < sequences; ++i)
    offsets.push_back(offsets.back() + (sequences == 1 ? mean : mean / 2 + mean * i / (sequences - 1)));
  return offsets;
}

at::Tensor packed(const at::Tensor& qkv, const std::vector<int64_t>& offsets) {
  return attention(qkv, {}, std::make_shared<AttentionPlan>(packed_plan(offsets)), smol);
}

at::Tensor one_by_one(const at::Tensor& qkv, const std::vector<int64_t>& offsets) {
  std::vector<at::Tensor> out;
  const auto heads = qkv.unflatten(1, {15, 64}).transpose(0, 1).unsqueeze(0);  // [1, 15, T, 64]
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const at::Tensor rows = heads.narrow(2, offsets[i], offsets[i + 1] - offsets[i]);
    const at::Tensor k = rows.narrow(1, 9, 3).repeat_interleave(3, 1),
                     v = rows.narrow(1, 12, 3).repeat_interleave(3, 1);
    const auto result =
        at::_scaled_dot_product_flash_attention_for_cpu(rows.narrow(1, 0, 9), k, v, 0.0, true);
    out.push_back(std::get<0>(result).squeeze(0).transpose(0, 1).flatten(1));
  }
  return at::cat(out);
}

using Function = at::Tensor (*)(const at::Tensor&, const std::vector<int64_t>&);

/// Arguments: sequences, mean length, bf16.
template <Function function>
void forward(benchmark::State& state) {
  const auto offsets = spread_offsets(state.range(0), state.range(1));
  const auto type = state.range(2) ? at::kBFloat16 : at::kFloat;
  const at::Tensor qkv = at::randn({offsets.back(), 15 * 64}).to(type).set_requires_grad(true);
  for (auto _ : state) benchmark::DoNotOptimize(function(qkv, offsets));
}

template <Function function>
void backward(benchmark::State& state) {
  const auto offsets = spread_offsets(state.range(0), state.range(1));
  const auto type = state.range(2) ? at::kBFloat16 : at::kFloat;
  const at::Tensor qkv = at::randn({offsets.back(), 15 * 64}).to(type).set_requires_grad(true);
  const at::Tensor out = function(qkv, offsets), dout = at::randn_like(out.detach());
  for (auto _ : state) benchmark::DoNotOptimize(torch::autograd::grad({out}, {qkv}, {dout}, true));
}

/// One new row a sequence. Arguments: sequences, cached keys of each, bf16.
void decode(benchmark::State& state) {
  const int64_t sequences = state.range(0), cached = state.range(1);
  const auto type = state.range(2) ? at::kBFloat16 : at::kFloat;
  AttentionPlan plan;
  for (int64_t i = 0; i < sequences; ++i) {
    plan.queries.push_back({i, 1, cached - 1, i, 1});
    plan.keys.push_back({1, i * cached, cached, 0});
  }
  const at::Tensor qkv = at::randn({sequences, 15 * 64}).to(type);
  const KeyValue cache{at::randn({sequences * cached, 192}).to(type),
                       at::randn({sequences * cached, 192}).to(type)};
  const auto shared = std::make_shared<AttentionPlan>(plan);
  for (auto _ : state) benchmark::DoNotOptimize(attention(qkv, {&cache, 1}, shared, smol));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * 2 * cache.k.numel() *
                          cache.k.element_size());
}

void training_sizes(benchmark::internal::Benchmark* b) {
  for (const int64_t bf16 : {0, 1})
    for (const auto& [sequences, mean] : {std::pair{8, 62}, {8, 250}, {1, 2048}})
      b->Args({sequences, mean, bf16});
  b->Unit(benchmark::kMicrosecond)->UseRealTime();
}

BENCHMARK(forward<packed>)->Name("forward/ours")->Apply(training_sizes);
BENCHMARK(forward<one_by_one>)->Name("forward/libtorch")->Apply(training_sizes);
BENCHMARK(backward<packed>)->Name("backward/ours")->Apply(training_sizes);
BENCHMARK(backward<one_by_one>)->Name("backward/libtorch")->Apply(training_sizes);
BENCHMARK(decode)
    ->ArgsProduct({{1, 8, 64}, {64, 1024}, {0, 1}})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
