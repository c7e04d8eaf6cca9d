// Compacter (Mahabadi et al. 2021, arXiv 2106.04647, section 4): houlsby's adapters with matrices that are
// sums of Kronecker products.
//   D^T = sum_i A_i (x) (S_i T_i), likewise U^T; S_i [p/n, r], T_i [r, q/n]; A [n, n, n] is shared by all
//   places by default.
// Files are AdapterHub's (compacter).
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.attention = true;
  config.non_linearity = "gelu";
  config.reduction_factor = 32;
  config.phm_layer = true;
  return make_bottleneck_method(config, {});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && config->phm_layer && !config->original_ln_before;
}

constexpr OptionExample examples[] = {
    {"own_rules", R"({"shared_phm_rule": false, "phm_dim": 2})"},
    {"rank", R"({"phm_rank": 2, "bottleneck_size": 8})"},
};

}  // namespace

extern const MethodInfo compacter_method;
const MethodInfo compacter_method{"compacter",
                                  "Mahabadi et al. 2021, arXiv 2106.04647",
                                  "bottlenecks of Kronecker products after attention and after the MLP",
                                  1e-2,
                                  make,
                                  reads,
                                  examples};

}  // namespace lowrank
