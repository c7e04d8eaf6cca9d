// Bottleneck adapters after attention and after the MLP (Houlsby et al. 2019, arXiv 1902.00751, section 2.1).
//   With y the branch's output and h the stream at its start: h + y + u(y), in post-norm models the frozen
//   norm of that; u(x) = f(x D^T + b) U^T + c, D [k, d], U [d, k].
// Files are AdapterHub's (double_seq_bn, formerly houlsby).
#include "peft/bottleneck/bottleneck_method.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

std::unique_ptr<Method> make() {
  BottleneckConfig config;
  config.attention = true;
  config.non_linearity = "swish";
  return make_bottleneck_method(config, {"bert", "houlsby", "mam_adapter"});
}

bool reads(const nlohmann::json& file) {
  const auto config = bottleneck_config_in(file);
  return config && !config->phm_layer && !config->is_parallel && !config->after_layer &&
         !config->original_ln_before &&
         !(config->init_weights == "houlsby" && config->non_linearity == "relu");
}

constexpr OptionExample examples[] = {
    {"dropout", R"({"dropout": 0.3})"},
    {"learned", R"({"scaling_type": "learned", "non_linearity": "gelu"})"},
    {"channel", R"({"scaling_type": "channel", "non_linearity": "tanh"})"},
    {"left_out", R"({"leave_out": [0]})"},
    {"dropped_layers", R"({"adapter_drop": 1})"},
    {"own_start", R"({"init_weights": "houlsby"})"},
    {"mam_start", R"({"init_weights": "mam_adapter"})"},
};

}  // namespace

extern const MethodInfo houlsby_method;
const MethodInfo houlsby_method{"houlsby",
                                "Houlsby et al. 2019, arXiv 1902.00751",
                                "bottlenecks after attention and after the MLP",
                                1e-3,
                                make,
                                reads,
                                examples};

}  // namespace lowrank
