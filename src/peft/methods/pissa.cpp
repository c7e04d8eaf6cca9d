// PiSSA (Meng et al. 2024, arXiv 2404.02948): LoRA initialised from the principal singular vectors,
//   W = U S V^T, S_r = S[:r] / s, A0 = sqrt(S_r) V^T[:r], B0 = U[:, :r] sqrt(S_r), W - s B0 A0 frozen.
// PEFT's files (`init_lora_weights: pissa`), which hold only A and B, are read; a plain LORA adapter of rank
// 2r is written.
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svd.h>

#include "base/error.h"
#include "peft/algebra/low_rank_fit.h"
#include "peft/core/registry.h"
#include "peft/low_rank/residual_factors.h"

namespace lowrank {
namespace {

StartFactors principal(const at::Tensor& weight, int64_t rank, double scale, int64_t iterations) {
  check(rank <= std::min(weight.size(0), weight.size(1)), ErrorKind::invalid,
        "rank {} is more than a weight of {} x {} has", rank, weight.size(0), weight.size(1));
  constexpr int64_t oversampling = 8;
  SingularVectors d;
  if (iterations > 0) {
    d = leading_singular_vectors(weight, rank + oversampling, iterations);
  } else {
    std::tie(d.u, d.s, d.vt) = at::linalg_svd(weight, false);
  }
  const at::Tensor root = (d.s.narrow(0, 0, rank) / scale).sqrt();
  return {root.unsqueeze(1) * d.vt.narrow(0, 0, rank), d.u.narrow(1, 0, rank) * root};
}

std::unique_ptr<Method> make() {
  const auto iterations = std::make_shared<int64_t>(0);
  LowRankVariant variant;
  variant.fields = {limited(
      field("niter", *iterations,
            "iterations of a randomised decomposition, which is faster for large weights; 0: an exact one"),
      0, 1000)};
  variant.read_config = [](nlohmann::json& config, const std::string& where) {
    check(config["init_lora_weights"] == "pissa", ErrorKind::unsupported,
          "{}: the randomised start {} cannot be computed again; in PEFT, convert the adapter with "
          "path_initial_model_for_weight_conversion",
          where, config["init_lora_weights"].dump());
  };
  return make_residual_method(std::move(variant),
                              [iterations](const at::Tensor& weight, int64_t rank, double scale) {
                                return principal(weight, rank, scale, *iterations);
                              });
}

bool reads(const nlohmann::json& config) {
  return is_low_rank_config(config, false, {"pissa"});
}

constexpr OptionExample examples[] = {
    {"randomised", R"({"niter": 4})"},
    {"dropout", R"({"dropout": 0.3})"},
    {"by_root", R"json({"scaling": "alpha/sqrt(r)"})json"},
    {"patterns", R"({"rank_pattern": {".*\\.1\\..*": 3}, "alpha_pattern": {".*\\.0\\..*": 5}})"},
};

}  // namespace

extern const MethodInfo pissa_method;
const MethodInfo pissa_method{"pissa",
                              "Meng et al. 2024, arXiv 2404.02948",
                              "low-rank update that starts from the principal singular vectors",
                              2e-4,
                              make,
                              reads,
                              examples};

}  // namespace lowrank
