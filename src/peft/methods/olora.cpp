// OLoRA (Bueyuekakyuez 2024, arXiv 2406.01775): LoRA initialised from the weight's QR decomposition,
//   W = Q R, A0 = R[:r], B0 = Q[:, :r], W - s B0 A0 frozen.
// PEFT's files (`init_lora_weights: olora`), which hold only A and B, are read; a plain LORA adapter of rank
// 2r is written.
#include <ATen/ops/linalg_qr.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/low_rank/residual_factors.h"

namespace lowrank {
namespace {

StartFactors orthonormal(const at::Tensor& weight, int64_t rank, double /*scale*/) {
  check(rank <= std::min(weight.size(0), weight.size(1)), ErrorKind::invalid,
        "rank {} is more than a weight of {} x {} has", rank, weight.size(0), weight.size(1));
  const auto [q, r] = at::linalg_qr(weight);
  return {r.narrow(0, 0, rank).clone(), q.narrow(1, 0, rank).clone()};
}

std::unique_ptr<Method> make() {
  return make_residual_method({}, orthonormal);
}

bool reads(const nlohmann::json& config) {
  return is_low_rank_config(config, false, {"olora"});
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"by_root", R"json({"scaling": "alpha/sqrt(r)", "rank": 3})json"},
};

}  // namespace

extern const MethodInfo olora_method;
const MethodInfo olora_method{"olora",
                              "Bueyuekakyuez 2024, arXiv 2406.01775",
                              "low-rank update that starts from the weight's QR decomposition",
                              2e-4,
                              make,
                              reads,
                              examples};

}  // namespace lowrank
