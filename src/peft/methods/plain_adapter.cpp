// Bottleneck adapters with nothing but their formula: ReLU(x W_down) W_up + x after attention and after the
// MLP (Houlsby et al. 2019, arXiv 1902.00751, section 2.1), all weights initialised with N(0, 0.01): as in
// the paper (normal), or truncated at two deviations as in AdapterHub (houlsby).
//   With y the branch's output: y + relu(y D^T + b) U^T + c is added to the stream.
// Files are AdapterHub's: BnConfig as double_seq_bn with relu and init_weights houlsby.
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.attention = true;
  return make_bottleneck_method(config, {"normal", "houlsby"});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && !config->phm_layer && !config->is_parallel && !config->after_layer &&
         !config->original_ln_before && config->init_weights == "houlsby" && config->non_linearity == "relu";
}

constexpr OptionExample examples[] = {
    {"wide", R"({"bottleneck_size": 12, "scaling": 2})"},
};

}  // namespace

extern const MethodInfo plain_adapter_method;
const MethodInfo plain_adapter_method{"plain_adapter",
                                      "Houlsby et al. 2019, arXiv 1902.00751",
                                      "ReLU(x W_down) W_up + x after attention and after the MLP",
                                      1e-3,
                                      make,
                                      reads,
                                      examples};

}  // namespace lowrank
