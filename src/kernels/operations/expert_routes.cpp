#include "kernels/operations/expert_routes.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/topk.h>

#include "kernels/core/device.h"

namespace lowrank {

ExpertRoutes expert_routes(const at::Tensor& logits, int64_t used, bool normalised) {
  const at::Tensor probabilities = at::softmax(logits, 1);
  at::Tensor chosen;
  {
    const at::NoGradGuard no_grad;
    chosen = std::get<1>(at::topk(probabilities, used, 1)).contiguous();
  }
  ExpertRoutes routes;
  routes.weights = at::gather(probabilities, 1, chosen);
  if (normalised) routes.weights = routes.weights / at::sum(routes.weights, 1, true);
  const int64_t pairs = chosen.numel();
  const at::Tensor numbers = chosen.cpu();
  const auto* experts = numbers.const_data_ptr<int64_t>();
  routes.counts.assign(logits.size(1), 0);
  for (int64_t pair = 0; pair < pairs; ++pair) ++routes.counts[experts[pair]];
  std::vector<int64_t> next(routes.counts.size(), 0);
  for (size_t expert = 1; expert < next.size(); ++expert)
    next[expert] = next[expert - 1] + routes.counts[expert - 1];
  routes.tokens = at::empty({pairs}, at::kLong);
  routes.places = at::empty({pairs}, at::kLong);
  auto* tokens = routes.tokens.mutable_data_ptr<int64_t>();
  auto* places = routes.places.mutable_data_ptr<int64_t>();
  for (int64_t pair = 0; pair < pairs; ++pair) {
    places[pair] = next[experts[pair]]++;
    tokens[places[pair]] = pair / used;
  }
  routes.places = sent_to(routes.places, logits.device());
  return routes;
}

at::Tensor weighted_sum(const at::Tensor& rows, const ExpertRoutes& routes) {
  const int64_t used = routes.weights.size(1);
  const at::Tensor by_token = rows.index_select(0, routes.places).to(routes.weights.scalar_type());
  return at::sum(by_token.view({-1, used, rows.size(1)}) * routes.weights.unsqueeze(2), 1);
}

}  // namespace lowrank
