#include "peft/algebra/combined_factors.h"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/quantile.h>

#include "base/error.h"
#include "peft/algebra/factored_svd.h"
#include "peft/algebra/task_vectors.h"

namespace lowrank {
namespace {

MergeRule rule_of(const CombinationOptions& options) {
  const bool random = options.type.starts_with("dare");
  const bool signs = options.type.find("ties") != std::string::npos;
  MergeRule rule;
  if (prunes(options.type)) rule.prune = random ? MergeRule::Prune::random : MergeRule::Prune::magnitude;
  if (signs)
    rule.signs =
        options.majority_sign_method == "total" ? MergeRule::Signs::of_sum : MergeRule::Signs::of_number;
  rule.density = options.density.value_or(1);
  return rule;
}

Factors side_by_side(const WeightedUpdates& module) {
  std::vector<at::Tensor> a, b;
  for (size_t i = 0; i < module.updates.size(); ++i) {
    a.push_back(module.updates[i]->a * module.weights[i] * module.updates[i]->scale);
    b.push_back(module.updates[i]->b);
  }
  return {at::cat(a, 0), at::cat(b, 1)};
}

/// Merges the factors themselves; the weight goes to both, its sign to A alone.
Factors merged_factors(const WeightedUpdates& module, const MergeRule& rule, at::Generator& generator) {
  std::vector<at::Tensor> a, b;
  std::vector<double> weights_a, weights_b;
  for (size_t i = 0; i < module.updates.size(); ++i) {
    const double weight = module.weights[i] * module.updates[i]->scale;
    weights_b.push_back(std::sqrt(std::abs(weight)));
    weights_a.push_back(weight >= 0 ? weights_b.back() : -weights_b.back());
    a.push_back(module.updates[i]->a);
    b.push_back(module.updates[i]->b);
  }
  at::Tensor merged_a = merge_tensors(std::move(a), weights_a, rule, generator);
  return {std::move(merged_a), merge_tensors(std::move(b), weights_b, rule, generator)};
}

/// B' = U diag(S) and A' = V^T of the sum, without forming it.
Factors truncated_sum(const WeightedUpdates& module, int64_t rank) {
  const Factors sum = side_by_side(module);
  const FactoredSvd svd = svd_of_product(sum.b, sum.a);
  const int64_t kept = std::min(rank, svd.strengths.numel());
  return {svd.inputs.narrow(1, 0, kept).t().to(at::kFloat),
          (svd.outputs.narrow(1, 0, kept) * svd.strengths.narrow(0, 0, kept)).to(at::kFloat)};
}

/// The same of the merged updates D_i, which are formed in full, with bounds on the values. In f32 and with
/// the same call as PEFT: where bounds are wanted, the signs of singular vectors matter.
Factors truncated_merge(const WeightedUpdates& module, const MergeRule& rule, int64_t rank,
                        const std::optional<double>& clamp, at::Generator& generator) {
  std::vector<at::Tensor> updates;
  for (const FactoredUpdate* update : module.updates)
    updates.push_back(at::mm(update->b, update->a) * update->scale);
  const at::Tensor merged = merge_tensors(std::move(updates), module.weights, rule, generator);
  const auto [u, s, vh] = at::linalg_svd(merged, /*full_matrices=*/false);
  const int64_t kept = std::min(rank, s.numel());
  Factors factors{vh.narrow(0, 0, kept), u.narrow(1, 0, kept) * s.narrow(0, 0, kept)};
  if (!clamp) return factors;
  constexpr int64_t most_values = 16'000'000;
  const at::Tensor all = at::cat({factors.b.flatten(), factors.a.flatten()});
  check(all.numel() < most_values, ErrorKind::unsupported,
        "`svd_clamp`: {} has {} values in its factors, and a quantile is taken of fewer than {}",
        module.updates.front()->module, all.numel(), most_values);
  const auto bound = at::quantile(all, *clamp).item<double>();
  // PEFT goes on with such a bound, which gives all values one number.
  check(
      bound > 0, ErrorKind::invalid,
      "`svd_clamp` {}: this quantile of the factors of {} is {}, and a bound must be above 0; give one well "
      "above 0.5",
      *clamp, module.updates.front()->module, bound);
  return {factors.a.clamp(-bound, bound), factors.b.clamp(-bound, bound)};
}

}  // namespace

bool prunes(const std::string& type) {
  return type != "cat" && type != "svd" && type != "linear";
}

Factors combined_factors(const WeightedUpdates& module, const CombinationOptions& options, int64_t rank,
                         at::Generator& generator) {
  const MergeRule rule = rule_of(options);
  Factors factors;
  if (options.type == "cat")
    factors = side_by_side(module);
  else if (options.type == "svd" && !options.svd_clamp)
    factors = truncated_sum(module, rank);
  else if (options.type.ends_with("svd"))
    factors = truncated_merge(module, rule, rank, options.svd_clamp, generator);
  else
    factors = merged_factors(module, rule, generator);
  const int64_t missing = rank - factors.a.size(0);
  if (missing == 0) return factors;
  return {at::constant_pad_nd(factors.a, {0, 0, 0, missing}), at::constant_pad_nd(factors.b, {0, missing})};
}

}  // namespace lowrank
