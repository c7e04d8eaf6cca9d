#include "peft/algebra/task_vectors.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

namespace lowrank {
namespace {

at::Tensor pruned(const at::Tensor& tensor, const MergeRule& rule, at::Generator& generator) {
  if (rule.prune == MergeRule::Prune::none || rule.density >= 1) return tensor;
  if (rule.prune == MergeRule::Prune::random)
    return tensor * at::bernoulli(at::full_like(tensor, rule.density), generator) / rule.density;
  const at::Tensor flat = tensor.reshape(-1);
  const auto kept = static_cast<int64_t>(rule.density * static_cast<double>(flat.numel()));
  const at::Tensor indices = std::get<1>(at::topk(flat.abs(), kept));
  at::Tensor mask = at::zeros_like(flat);
  mask.index_fill_(0, indices, 1);
  return tensor * mask.reshape(tensor.sizes());
}

/// True where a value has the sign that is elected for its place.
at::Tensor has_elected_sign(const at::Tensor& stacked, MergeRule::Signs signs) {
  const at::Tensor sign = stacked.sign();
  const at::Tensor votes = (signs == MergeRule::Signs::of_sum ? stacked : sign).sum(0);
  return sign == at::where(votes >= 0, 1, -1);
}

}  // namespace

at::Tensor merge_tensors(std::vector<at::Tensor> tensors, std::span<const double> weights,
                         const MergeRule& rule, at::Generator& generator) {
  for (at::Tensor& tensor : tensors) tensor = pruned(tensor, rule, generator);
  const at::Tensor stacked = at::stack(tensors);
  std::vector<int64_t> shape(static_cast<size_t>(stacked.dim()), 1);
  shape.front() = stacked.size(0);
  const at::Tensor factors =
      at::tensor(std::vector<double>(weights.begin(), weights.end()), at::kFloat).view(shape);
  if (rule.signs == MergeRule::Signs::any) return (stacked * factors).sum(0);
  const at::Tensor chosen = has_elected_sign(stacked, rule.signs);
  return (stacked * factors * chosen).sum(0) / chosen.sum(0).clamp_min(1);
}

}  // namespace lowrank
