// Compacter++ (Mahabadi et al. 2021, arXiv 2106.04647, section 4): pfeiffer's adapters with matrices that are
// sums of Kronecker products, as in compacter.cpp. Files are AdapterHub's (compacter++).
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.original_ln_before = true;
  config.non_linearity = "gelu";
  config.reduction_factor = 32;
  config.phm_layer = true;
  return make_bottleneck_method(config, {});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && config->phm_layer && config->original_ln_before;
}

constexpr OptionExample examples[] = {
    {"rank", R"({"phm_rank": 2, "bottleneck_size": 8})"},
};

}  // namespace

extern const MethodInfo compacter_pp_method;
const MethodInfo compacter_pp_method{"compacter_pp",
                                     "Mahabadi et al. 2021, arXiv 2106.04647",
                                     "bottlenecks of Kronecker products after the MLP",
                                     1e-2,
                                     make,
                                     reads,
                                     examples};

}  // namespace lowrank
