// Bottleneck adapters beside the MLP (He et al. 2021, arXiv 2110.04366, section 3.2).
//   h + y + s u(h), with y the MLP's output and h the stream at its start, not normed; s = 4, or learned
//   starting at 1 (scaling_type). U starts at zero.
// Files are AdapterHub's (par_bn, scaled_par_bn).
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.is_parallel = true;
  config.reduction_factor = 2;
  config.scaling = 4;
  return make_bottleneck_method(config, {"mam_adapter", "bert", "houlsby"});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && !config->phm_layer && config->is_parallel;
}

constexpr OptionExample examples[] = {
    {"channel", R"({"scaling_type": "channel", "bottleneck_size": 5})"},
};

}  // namespace

extern const MethodInfo parallel_adapter_method;
const MethodInfo parallel_adapter_method{"parallel_adapter",
                                         "He et al. 2021, arXiv 2110.04366",
                                         "bottlenecks beside the MLP",
                                         5e-4,
                                         make,
                                         reads,
                                         examples};

}  // namespace lowrank
