// One bottleneck adapter after each layer, with its own LayerNorm (Lin et al. 2020, arXiv 2004.03829, section
// 2; the LoRA paper's Adapter^L).
//   h' = h + f(LN(h) D^T + b) U^T + c, with h the layer's output and LN trained.
// Files are AdapterHub's: BnConfig with ln_before and original_ln_before, without original_ln_after and
// residual_before_ln. The norm is stored twice, as adapter_norm_before and as adapter_down.0.
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.original_ln_before = true;
  config.after_layer = true;
  config.ln_before = true;
  return make_bottleneck_method(config, {"bert", "houlsby", "mam_adapter"});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && !config->phm_layer && !config->is_parallel && config->after_layer;
}

constexpr OptionExample examples[] = {
    {"learned", R"({"scaling_type": "learned", "bottleneck_size": 5})"},
};

}  // namespace

extern const MethodInfo lin_adapter_method;
const MethodInfo lin_adapter_method{"lin_adapter",
                                    "Lin et al. 2020, arXiv 2004.03829",
                                    "one bottleneck behind each layer, with its own norm",
                                    1e-3,
                                    make,
                                    reads,
                                    examples};

}  // namespace lowrank
