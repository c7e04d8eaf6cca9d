// Attention of packed sequences on the heads of SmolLM2, against its reference and against libtorch's flash
// attention, called a sequence at a time with keys and values expanded to all heads. FLOPs: two products of
// all visible pairs forward; backward five, since the scores are computed again.
#include <memory>

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include "kernel_case.h"
#include "kernels/operations/attention.h"

namespace lowrank {
namespace {

const AttentionShape shape{smol::heads, smol::kv_heads, smol::head_dim, 0.125, true, 0};

struct Size {
  int64_t sequences, mean;  ///< of these rows on average
};

/// From about half of the mean to one and a half.
std::vector<int64_t> spread_offsets(Size size) {
  std::vector<int64_t> offsets{0};
  for (int64_t i = 0; i < size.sequences; ++i) {
    const int64_t rows =
        size.sequences == 1 ? size.mean : size.mean / 2 + size.mean * i / (size.sequences - 1);
    offsets.push_back(offsets.back() + rows);
  }
  return offsets;
}

/// FLOPs of one product over all visible pairs of queries and keys.
double product_flops(const std::vector<int64_t>& offsets) {
  double pairs = 0;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const auto rows = static_cast<double>(offsets[i + 1] - offsets[i]);
    pairs += rows * (rows + 1) / 2;
  }
  return 2 * pairs * smol::heads * smol::head_dim;
}

at::Tensor flash_one_by_one(const at::Tensor& qkv, const std::vector<int64_t>& offsets) {
  constexpr int64_t group = smol::heads / smol::kv_heads;
  std::vector<at::Tensor> out;
  const at::Tensor heads =
      qkv.unflatten(1, {smol::qkv / smol::head_dim, smol::head_dim}).transpose(0, 1).unsqueeze(0);
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const at::Tensor rows = heads.narrow(2, offsets[i], offsets[i + 1] - offsets[i]);
    const at::Tensor q = rows.narrow(1, 0, smol::heads);
    const at::Tensor k = rows.narrow(1, smol::heads, smol::kv_heads).repeat_interleave(group, 1);
    const at::Tensor v =
        rows.narrow(1, smol::heads + smol::kv_heads, smol::kv_heads).repeat_interleave(group, 1);
    const auto result = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, true);
    out.push_back(std::get<0>(result).squeeze(0).transpose(0, 1).flatten(1));
  }
  return at::cat(out);
}

using Tensors = std::vector<at::Tensor>;

void add_training(std::vector<KernelCase>& cases, at::ScalarType type, Size size, bool flash) {
  const std::vector<int64_t> offsets = spread_offsets(size);
  const double flops = product_flops(offsets);
  const auto prepare = [=] {
    const auto plan = std::make_shared<const AttentionPlan>(packed_plan(offsets));
    const auto ours = [plan](const Tensors& in) { return Tensors{attention(in[0], {}, plan, shape)}; };
    const auto reference = [=](const Tensors& in) {
      return Tensors{flash ? flash_one_by_one(in[0], offsets) : attention_reference(in[0], {}, plan, shape)};
    };
    return DifferentiableOp{{random_leaf({offsets.back(), smol::qkv}, type)}, ours, reference};
  };
  const std::string name =
      fmt::format("attention{}/{}x{}", flash ? "_against_flash" : "", size.sequences, size.mean);
  for (KernelCase& kernel :
       both_directions(name, type, products(type, 2 * flops), products(type, 5 * flops), prepare))
    cases.push_back(std::move(kernel));
}

/// One new row a sequence, behind `size.mean` cached keys: every key and value is read once.
KernelCase decode(at::ScalarType type, Size size) {
  constexpr int64_t kv_width = smol::kv_heads * smol::head_dim;
  const auto prepare = [=] {
    auto plan = std::make_shared<AttentionPlan>();
    for (int64_t i = 0; i < size.sequences; ++i) {
      plan->queries.push_back({i, 1, size.mean - 1, i, 1});
      plan->keys.push_back({1, i * size.mean, size.mean, 0});
    }
    const at::Tensor qkv = random_values({size.sequences, smol::qkv}, type);
    const KeyValue cache{random_values({size.sequences * size.mean, kv_width}, type),
                         random_values({size.sequences * size.mean, kv_width}, type)};
    return Contenders{[=] {
                        return Tensors{attention(qkv, {&cache, 1}, plan, shape)};
                      },
                      [=] {
                        return Tensors{attention_reference(qkv, {&cache, 1}, plan, shape)};
                      }};
  };
  const double bytes = 2.0 * static_cast<double>(size.sequences * size.mean * kv_width) * width(type);
  return {fmt::format("attention/{}x{}_cached/forward/{}", size.sequences, size.mean, type_name(type)),
          {Resource::memory, bytes},
          prepare};
}

}  // namespace

std::vector<KernelCase> attention_cases() {
  std::vector<KernelCase> cases;
  for (const at::ScalarType type : measured_types) {
    // The reference's scores of all pairs at once would take a second at the third size.
    for (const Size size : {Size{8, 62}, {8, 250}}) add_training(cases, type, size, false);
    for (const Size size : {Size{8, 62}, {8, 250}, {1, 2048}}) add_training(cases, type, size, true);
    for (const Size size : {Size{1, 1024}, {8, 1024}, {64, 64}}) cases.push_back(decode(type, size));
  }
  return cases;
}

}  // namespace lowrank
